"""`mikoshi plan`: what deploy would do now, and why."""

from __future__ import annotations

import argparse

from mikoshi.cli.deploy import add_source
from mikoshi.cli.parser import Parser, Verbs, add_environment, add_json, verb


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(verbs, "plan", run, "what deploy would do now, and why", "Like deploy, up to the first change.")
    add_environment(parser)
    add_source(parser)
    parser.add_argument("--only", action="append", metavar="HOST", help="as for deploy")
    parser.add_argument("--exit-code", action="store_true", help="exit 8 if there is something to do")
    add_json(parser, "the plan")


def run(arguments: argparse.Namespace) -> int:
    """Show the plan; exit code 8 with --exit-code if it is not empty."""
    from mikoshi.cli import context, deploying
    from mikoshi.cli.planned import show_plan
    from mikoshi.cli.progress import Lines

    environment = context.environment(arguments, "plan")
    command = deploying.Command(arguments, environment, "plan", Lines(quiet=arguments.json))
    plan = deploying.run_plan(command, command.from_source)
    show_plan(plan, command)
    return 8 if arguments.exit_code and not plan.empty else 0
