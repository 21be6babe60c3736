"""`mikoshi config`: every value with its origin, and the reference of every key."""

from __future__ import annotations

import argparse

from mikoshi.cli.parser import Parser, Verbs, add_environment, add_json, verb


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(verbs, "config", show, "show the configuration and where each value comes from")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=Parser)
    shown = actions.add_parser("show", help="every value of an environment with its origin")
    add_environment(shown)
    add_json(shown, "the values")
    shown.set_defaults(run=show)
    documented = actions.add_parser("docs", help="the reference of every key, as commented TOML")
    documented.add_argument("section", nargs="?", metavar="SECTION", help="one section only")
    documented.set_defaults(run=docs)


def show(arguments: argparse.Namespace) -> int:
    """Print every value of the environment."""
    from mikoshi.cli import context
    from mikoshi.cli.output import print_json

    configuration = context.configuration(arguments)
    name = context.environment(arguments, "config show").name
    rows = configuration.show(name)
    if arguments.json:
        print_json([{"key": row.key, "value": row.value, "origin": row.origin} for row in rows])
        return 0
    width = max((len(f"{row.key} = {row.value}") for row in rows), default=0)
    for row in rows:
        print(f"{row.key} = {row.value}".ljust(min(width, 60)) + f"  # {row.origin}")
    return 0


def docs(arguments: argparse.Namespace) -> int:
    """Print the reference."""
    from mikoshi.config import reference

    print(reference.docs(arguments.section or ""), end="")
    return 0
