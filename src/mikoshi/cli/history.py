"""`mikoshi history`: who deployed what, when, and how it ended."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mikoshi.cli.parser import Parser, Verbs, add_environment, add_json, verb

if TYPE_CHECKING:
    from mikoshi.config.model import Environment


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "history", run, "who deployed what, when, and how it ended",
        "The audit trail, as the nodes have it; --local as this machine has it.",
    )  # fmt: skip
    add_environment(parser)
    parser.add_argument("-n", dest="limit", type=int, default=20, metavar="N", help="the last N entries (20)")
    parser.add_argument("--local", action="store_true", help="only what was done from this machine; asks no node")
    add_json(parser, "the entries")


def run(arguments: argparse.Namespace) -> int:
    """Show the trail, newest last."""
    from mikoshi import wiring
    from mikoshi.cli import context
    from mikoshi.cli.output import print_json
    from mikoshi.engine import history

    environment = context.environment(arguments, "history")
    limit = max(1, arguments.limit)
    if arguments.local:
        file = history.local_file(wiring.state_directory(), environment.app, environment.name)
        entries = history.read(file, limit)
    else:
        entries = context.run(_of_fleet(environment, limit))
    if arguments.json:
        print_json(entries)
    else:
        print(_text(entries))
    return 0


async def _of_fleet(environment: Environment, limit: int) -> list[dict[str, Any]]:
    from mikoshi import wiring
    from mikoshi.engine import history

    async with wiring.fleet(environment, lambda _event: None) as fleet:
        await fleet.connect()
        return await history.of_fleet(fleet, limit)


def _text(entries: list[dict[str, Any]]) -> str:
    from mikoshi.cli.output import duration, local_time, table

    if not entries:
        return "nothing was deployed yet"
    rows = [
        {
            "seq": entry["seq"],
            "at": local_time(entry["at"]),
            "by": entry["by"],
            "verb": entry["verb"],
            "change": f"{entry['from'] or 'nothing'} → {entry['to'] or 'nothing'}",
            "release": entry["release"][:12],
            "result": entry["result"],
            "took": duration(entry["seconds"]),
            "message": entry["message"] or "; ".join(entry.get("causes", [])),
        }
        for entry in entries
    ]
    columns = {
        "seq": "SEQ", "at": "WHEN", "by": "WHO", "verb": "WHAT", "change": "CHANGE", "release": "RELEASE",
        "result": "RESULT", "took": "TOOK", "message": "WHY",
    }  # fmt: skip
    return table(rows, columns)
