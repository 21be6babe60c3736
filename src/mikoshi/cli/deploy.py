"""`mikoshi deploy`: make a release of the source and bring it to every node, or to none."""

from __future__ import annotations

import argparse

from mikoshi.cli.parser import Parser, Verbs, add_changes, add_environment, verb
from mikoshi.cli.probing import add_probe


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "deploy", run, "bring the application to every node, or to none",
        "Pack the application, stage it on every node, then switch wave by wave. If it fails, what switched\n"
        "goes back. Interrupted, the same command goes on.",
    )  # fmt: skip
    add_environment(parser)
    add_source(parser)
    parser.add_argument(
        "--only", action="append", metavar="HOST", help="bring only this host to what the fleet runs (may be repeated)"
    )
    add_probe(parser)
    add_changes(parser)


def add_source(parser: argparse.ArgumentParser) -> None:
    """What is deployed, for deploy and plan."""
    parser.add_argument("--ref", metavar="REF", help="a git branch, tag or commit instead of the work tree")
    parser.add_argument("--release", metavar="ID", help="a release kept on this machine (see `mikoshi releases`)")


def run(arguments: argparse.Namespace) -> int:
    """Deploy; exit code 0 if everything runs it, else as the error says."""
    from mikoshi.cli.deploying import carry_out

    return carry_out(arguments, "deploy", lambda command: command.from_source)
