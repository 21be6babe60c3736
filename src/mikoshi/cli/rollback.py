"""`mikoshi rollback`: give up what is unfinished, else go back to an earlier known good deployment."""

from __future__ import annotations

import argparse

from mikoshi.cli.parser import Parser, Verbs, add_changes, add_environment, verb


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "rollback", run, "go back to the last good deployment that differs",
        "While a deployment is unfinished: give it up, nodes go back to the known good one. Otherwise a new\n"
        "deployment of an earlier release, with its own vars and today's secrets.",
    )  # fmt: skip
    add_environment(parser)
    parser.add_argument("--to", type=int, metavar="SEQ", help="the deployment to go back to (see `mikoshi history`)")
    add_changes(parser)


def run(arguments: argparse.Namespace) -> int:
    """Roll back; exit code 0 if everything runs the older deployment."""
    from mikoshi.cli import context, deploying
    from mikoshi.cli.planned import show_plan

    environment = context.environment(arguments, "rollback")
    command = deploying.Command(arguments, environment, "rollback", deploying.printer(arguments))
    if arguments.dry_run:
        show_plan(deploying.run_plan(command, command.from_past), command)
        return 0
    deploying.run_deploy(command, command.from_past)
    return 0
