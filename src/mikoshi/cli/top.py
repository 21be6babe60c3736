"""`mikoshi top`: the processes of all hosts, live."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from mikoshi.cli.parser import Parser, Verbs, add_environment, add_json, add_only, verb

if TYPE_CHECKING:
    from mikoshi.cli.watching.rows import Row
    from mikoshi.config.model import Environment
    from mikoshi.engine.watch import Watch

_SHORTEST = 0.1


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "top", run, "the processes of all hosts, live",
        "A live table of all processes: q quits, c, m and n sort by processor, memory and name, arrows or j and\n"
        "k scroll. New processes are green, leaving ones yellow. Without a terminal: one table.",
    )  # fmt: skip
    add_environment(parser)
    parser.add_argument("-d", "--delay", type=float, default=1.0, metavar="SECONDS", help="how often to look (1)")
    parser.add_argument("--once", action="store_true", help="print one table and end")
    add_only(parser, "show")
    add_json(parser, "one reading")


def run(arguments: argparse.Namespace) -> int:
    """Show; exit code 0 when it was ended, or 4 for a table in which a host is out of reach."""
    from mikoshi.cli import context
    from mikoshi.cli.output import is_terminal
    from mikoshi.core.errors import Interrupted

    environment = context.environment(arguments, "top")
    live = not (arguments.once or arguments.json) and is_terminal(sys.stdout) and sys.stdin.isatty()
    try:
        return context.run(_top(arguments, environment, live=live))
    except Interrupted:
        if not live:
            raise
        return 0


async def _top(arguments: argparse.Namespace, environment: Environment, *, live: bool) -> int:
    from mikoshi import wiring
    from mikoshi.cli import context
    from mikoshi.engine.watch import Watch

    nodes = context.chosen_hosts(environment, arguments.only or ()) or tuple(host.name for host in environment.hosts)
    async with wiring.fleet(environment, lambda _event: None) as fleet:
        watch = Watch(fleet, nodes, max(_SHORTEST, arguments.delay))
        return await (_live(watch, environment) if live else _once(watch, as_json=arguments.json))


async def _live(watch: Watch, environment: Environment) -> int:
    import asyncio

    from mikoshi.cli.watching.live import Screen

    screen = Screen(f"{environment.app} {environment.name}", lambda: _rows(watch), watch.every)
    looking = [asyncio.create_task(watch.keep(node)) for node in watch.nodes]
    showing = asyncio.create_task(screen.run())
    try:
        done, _ = await asyncio.wait([showing, *looking], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (showing, *looking):
            task.cancel()
        await asyncio.gather(showing, *looking, return_exceptions=True)
    return 0


async def _once(watch: Watch, *, as_json: bool) -> int:
    """Read twice, for what is used in between."""
    from mikoshi.cli.output import print_json
    from mikoshi.cli.watching.page import plain_table

    await watch.once()
    await watch.fleet.clock.sleep(watch.every)
    await watch.once()
    if as_json:
        print_json(_data(watch))
    else:
        print(plain_table(_rows(watch)))
    return 4 if any(seen.error for seen in watch.seen.values()) else 0


def _rows(watch: Watch) -> list[Row]:
    from mikoshi.cli.explain import explain
    from mikoshi.cli.watching.rows import TROUBLE, rows_of, said

    found = []
    for place, node in enumerate(watch.nodes):
        seen = watch.seen.get(node)
        if seen is None:
            found.append(said(place, node, "…"))
        elif seen.error is not None:
            what = explain(seen.error).what.removeprefix(f"{node}: ")
            found.append(said(place, node, f"out of reach: {what}", TROUBLE))
        else:
            found.extend(rows_of(place, node, seen.processes, seen.before))
    return found


def _data(watch: Watch) -> list[dict[str, object]]:
    from mikoshi.cli.watching.rows import cpu_percent
    from mikoshi.core.errors import to_wire

    return [
        {
            "node": node,
            "error": to_wire(seen.error) if seen.error else None,
            "processes": [{**asdict(one), "cpu_percent": cpu_percent(one, seen.before)} for one in seen.processes],
        }
        for node, seen in watch.seen.items()
    ]
