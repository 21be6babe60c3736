"""`mikoshi completion`: a completion script for the shell."""

from __future__ import annotations

import argparse

from mikoshi.cli.parser import Parser, Verbs, verb

SHELLS = ("bash", "zsh", "tcsh")


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "completion", run, "a completion script for your shell",
        "Print a completion script. For bash: mikoshi completion bash > /etc/bash_completion.d/mikoshi",
    )  # fmt: skip
    parser.add_argument("shell", choices=SHELLS)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from mikoshi.cli.main import build_parser

    print(shtab.complete(build_parser(), shell=arguments.shell))
    return 0
