"""`mikoshi status`: what runs where."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mikoshi.cli.parser import Parser, Verbs, add_environment, add_json, verb

if TYPE_CHECKING:
    from mikoshi.config.model import Environment
    from mikoshi.core.messages import NodeView, ProcessView
    from mikoshi.engine.fleet import Fleet
    from mikoshi.styles.push.observe import FleetView


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(verbs, "status", run, "what runs where", "Read every node and show what it runs. Changes nothing.")
    add_environment(parser)
    add_json(parser, "the status")


def run(arguments: argparse.Namespace) -> int:
    """Show the status; exit code 4 if a node is out of reach."""
    from mikoshi.cli import context
    from mikoshi.cli.output import print_json

    environment = context.environment(arguments, "status")
    report = context.run(_read(environment))
    if arguments.json:
        print_json(report)
    else:
        print(_text(report))
    return 4 if any(node["error"] for node in report["nodes"]) else 0


async def _read(environment: Environment) -> dict[str, Any]:
    from mikoshi import wiring
    from mikoshi.styles.push.observe import fleet_view

    async with wiring.fleet(environment, lambda _event: None) as fleet:
        await fleet.connect()
        views = {host.name: fleet.views[host.name] for host in environment.hosts if host.name in fleet.views}
        observed = fleet_view(views, tuple(fleet.errors), environment.anchor)
        return _report(environment, fleet, observed)


def _report(environment: Environment, fleet: Fleet, observed: FleetView) -> dict[str, Any]:
    from mikoshi.cli.explain import explain

    stable, unfinished = observed.stable, observed.unfinished
    nodes: list[dict[str, Any]] = []
    for host in environment.hosts:
        view = fleet.views.get(host.name)
        if view is None:
            error = explain(fleet.errors[host.name])
            what = error.what.removeprefix(f"{host.name}: ")
            nodes.append({"node": host.name, "error": what, "next": error.next})
        else:
            nodes.append({"node": host.name, "error": "", **_node(view, stable.seq if stable else 0)})
    return {
        "app": environment.app,
        "env": environment.name,
        "anchor": environment.anchor,
        "stable": stable.deployment.to_json() if stable else None,
        "unfinished": {**unfinished.deployment.to_json(), "outcome": unfinished.outcome} if unfinished else None,
        "nodes": nodes,
    }


def _node(view: NodeView, stable: int) -> dict[str, Any]:
    held = view.holds(view.current)
    lease = view.lease if view.lease and view.lease.alive else None
    return {
        "current": view.current,
        "release": held.release if held else "",
        "behind": view.current != stable,
        "interrupted": view.interrupted,
        "kept": [kept.seq for kept in view.kept if kept.staged],
        "free_bytes": view.free_bytes,
        "user": view.user,
        "path": view.path,
        "root": view.root,
        "warnings": list(view.warnings),
        "stopped": view.stopped,
        "processes": [asdict(one) for one in view.processes],
        "held_by": f"{lease.holder} ({lease.message})" if lease else "",
    }


def _text(report: dict[str, Any]) -> str:
    from mikoshi.cli.output import local_time, paint, table

    lines = [paint(f"{report['app']} {report['env']}", "bold")]
    if stable := report["stable"]:
        by = f"by {stable['by']}, {local_time(stable['at'])}"
        why = f": {stable['message']}" if stable["message"] else ""
        lines.append(f"  known good: deployment {stable['seq']}, release {stable['release'][:12]}, {by}{why}")
    elif any(node["error"] for node in report["nodes"] if node["node"] == report["anchor"]):
        lines.append(f"  what is known good stands on {report['anchor']}, which is out of reach")
    else:
        lines.append("  nothing was deployed yet")
    if unfinished := report["unfinished"]:
        lines.append("  " + paint(_unfinished(report, unfinished), "yellow"))
    rows = [_row(node) for node in report["nodes"]]
    columns = {"node": "NODE", "runs": "RUNS", "release": "RELEASE", "user": "USER", "state": "STATE"}
    lines.append(table(rows, columns))
    lines.extend(f"  {node['node']}: {warning}" for node in report["nodes"] for warning in node.get("warnings", ()))
    lines.extend(_processes(report["nodes"]))
    return "\n".join(lines)


def _unfinished(report: dict[str, Any], unfinished: dict[str, Any]) -> str:
    seq = unfinished["seq"]
    on = [node["node"] for node in report["nodes"] if node.get("current") == seq]
    doing = "was going back" if unfinished["outcome"] == "reverting" else "is unfinished"
    where = f"{len(on)} of {len(report['nodes'])} nodes run it"
    return f"deployment {seq} {doing} ({where}). The same `mikoshi deploy` goes on; `mikoshi rollback` gives it up."


def _row(node: dict[str, Any]) -> dict[str, str]:
    if node["error"]:
        return {"node": node["node"], "runs": "?", "state": f"out of reach: {node['error']}"}
    notes = []
    if node["interrupted"]:
        notes.append(f"interrupted at {node['interrupted']}")
    elif node["behind"]:
        notes.append("not the known good deployment")
    if node["stopped"]:
        notes.append("stopped: `mikoshi restart` starts it")
    if node["held_by"]:
        notes.append(f"held by {node['held_by']}")
    if not node["root"]:
        notes.append("the app can write its releases (no root, no sudo)")
    return {
        "node": node["node"],
        "runs": str(node["current"] or "nothing"),
        "release": node["release"][:12],
        "user": node["user"],
        "state": "; ".join(notes) or "ok",
    }


def _processes(nodes: list[dict[str, Any]]) -> list[str]:
    """A table of all processes, and below it what is wrong with some; nothing where no runner has any."""
    from mikoshi.cli.output import paint, table
    from mikoshi.cli.processes import trouble
    from mikoshi.core.messages import ProcessView

    found = [(node["node"], ProcessView(**one)) for node in nodes for one in node.get("processes", ())]
    if not found:
        return []
    columns = {
        "node": "NODE", "process": "PROCESS", "seq": "RUNS", "pid": "PID", "state": "STATE", "up": "UP",
        "ends": "RESTARTS", "memory": "MEMORY",
    }  # fmt: skip
    wrong = [f"  {node} {one.name}: {trouble(one)}" for node, one in found if trouble(one)]
    return ["", table([_process(node, one) for node, one in found], columns), *(paint(line, "red") for line in wrong)]


def _process(node: str, one: ProcessView) -> dict[str, object]:
    from mikoshi.cli.output import size
    from mikoshi.cli.processes import how_long, state

    there = {"pid": one.pid, "up": how_long(one.up), "memory": size(one.memory)} if one.pid else {}
    return {"node": node, "process": one.name, "seq": one.seq, "state": state(one), "ends": one.ends, **there}
