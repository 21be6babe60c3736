"""`mikoshi stop`: end the processes until the next deploy or restart."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from mikoshi.cli.parser import Parser, Verbs, add_changes, add_environment, add_only, verb

if TYPE_CHECKING:
    from mikoshi.config.model import Environment
    from mikoshi.core.messages import NodeView
    from mikoshi.engine.operate import Order


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "stop", run, "end the processes until the next deploy or restart",
        "End every process of the environment, as its `stop` says. They stay ended, over boots too, until the\n"
        "next deploy or restart. A host that is out of reach keeps its processes; the others are stopped.",
    )  # fmt: skip
    add_environment(parser)
    add_only(parser, "stop")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask; needed where nobody can be asked")
    add_changes(parser, "in the history")


def run(arguments: argparse.Namespace) -> int:
    """Stop; exit code 0 if nothing runs on any node, 4 if one is out of reach."""
    from mikoshi.cli import operating
    from mikoshi.engine import operate

    environment = operating.chosen(arguments, "stop")
    if arguments.dry_run:
        return operating.look(arguments, environment, _preview)
    if not arguments.yes:
        _confirm(environment, arguments.only or [host.name for host in environment.hosts])
    return operating.carry_out(arguments, environment, operate.stop)


def _confirm(environment: Environment, hosts: list[str]) -> None:
    """Ask. Raises WrongUsage where nobody can be asked, Interrupted for a no."""
    from mikoshi.cli.output import counted
    from mikoshi.core.errors import Interrupted, WrongUsage

    if os.environ.get("CI") or not sys.stdin.isatty():
        raise WrongUsage(f"stop ends every process of {environment.name}: say --yes where nobody can be asked")
    where = ", ".join(hosts) if len(hosts) <= 5 else counted(len(hosts), "host")
    sys.stderr.write(f"End every process of {environment.app} {environment.name} on {where}? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Interrupted("before anything was changed")


def _preview(_order: Order, nodes: dict[str, NodeView]) -> tuple[object, list[str]]:
    from mikoshi.cli.output import counted

    found = {node: [one.name for one in view.processes if one.pid] for node, view in nodes.items()}
    lines = [
        f"  {node}: end {counted(len(names), 'process', 'processes')}" + (f" ({', '.join(names)})" if names else "")
        for node, names in found.items()
    ]
    return {"nodes": found}, lines
