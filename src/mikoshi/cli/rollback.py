"""`mikoshi rollback`: give up what is unfinished, else go back to an earlier known good deployment."""

from __future__ import annotations

import argparse

from mikoshi.cli.parser import Parser, Verbs, add_changes, add_environment, verb
from mikoshi.cli.probing import add_probe


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "rollback", run, "go back to the last good deployment that differs",
        "While a deployment is unfinished: give it up, nodes go back to the known good one. Otherwise a new\n"
        "deployment of an earlier release, with its own vars and today's secrets.",
    )  # fmt: skip
    add_environment(parser)
    parser.add_argument("--to", type=int, metavar="SEQ", help="the deployment to go back to (see `mikoshi history`)")
    add_probe(parser)
    add_changes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Roll back; exit code 0 if everything runs the older deployment."""
    from mikoshi.cli.deploying import carry_out

    return carry_out(arguments, "rollback", lambda command: command.from_past)
