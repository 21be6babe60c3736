"""`mikoshi restart`: new processes for what runs, without a gap."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mikoshi.cli.parser import Parser, Verbs, add_changes, add_environment, add_only, verb

if TYPE_CHECKING:
    from mikoshi.core.messages import NodeView
    from mikoshi.engine.operate import Order


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "restart", run, "new processes for what runs, without a gap",
        "Start the running deployment's processes anew, wave by wave; the old ones end once the new ones serve.\n"
        "The first failure stops it. Starts again what `mikoshi stop` ended.",
    )  # fmt: skip
    add_environment(parser)
    add_only(parser, "restart")
    add_changes(parser, "in the history")


def run(arguments: argparse.Namespace) -> int:
    """Restart; exit code 0 if every node has new processes."""
    from mikoshi.cli import operating
    from mikoshi.engine import operate

    environment = operating.chosen(arguments, "restart")
    if arguments.dry_run:
        return operating.look(arguments, environment, _preview)
    return operating.carry_out(arguments, environment, operate.restart)


def _preview(order: Order, nodes: dict[str, NodeView]) -> tuple[object, list[str]]:
    from mikoshi.engine.operate import waves

    found = waves(order.policy, [node for node, view in nodes.items() if view.current])
    lines = [f"  wave {number}: restart {', '.join(wave)}" for number, wave in enumerate(found, 1)]
    return {"waves": found}, lines or ["nothing runs: there is nothing to restart"]
