"""The command `mikoshi`: reads the command line, runs one verb, turns errors into text and exit codes.

Nothing else in the project prints an error or decides an exit code. Verbs import what they need when they run, so that
`mikoshi --version` is quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from mikoshi import __version__
from mikoshi.cli import (
    check,
    completion,
    config,
    deploy,
    history,
    init,
    logs,
    plan,
    probe,
    releases,
    restart,
    rollback,
    status,
    stop,
    top,
    tour,
)
from mikoshi.cli.parser import Grouped, Parser
from mikoshi.core.errors import Interrupted, MikoshiError

GROUPS = {
    "Start": (init, check, tour),
    "Ship": (plan, deploy, rollback, restart),
    "Look": (status, top, logs, history, releases, probe),
    "Work": (stop,),
    "More": (config, completion),
}
VERBS = tuple(module for group in GROUPS.values() for module in group)
_EPILOG = """exit codes: 0 done · 2 usage or configuration · 3 held by another deployer · 4 out of reach
5 failed, nothing changed · 6 failed, reverted · 7 failed, nodes need a person
8 plan --exit-code: there are changes · 130 interrupted: the same command goes on"""


class _Help(Grouped):
    groups = {  # noqa: RUF012 - never changed
        heading: tuple(module.__name__.rpartition(".")[2] for module in modules) for heading, modules in GROUPS.items()
    }


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = Parser(
        prog="mikoshi",
        description="One deployment system for every kind of server.",
        epilog=_EPILOG,
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"mikoshi {__version__}")
    parser.add_argument("-C", dest="directory", metavar="DIR", default=".", help="work as if started in DIR")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=Parser, title="verbs")
    for module in VERBS:
        module.add_to(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parsed = build_parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _told(Interrupted("nothing was begun"), parsed)
    except MikoshiError as error:
        return _told(error, parsed)
    except BrokenPipeError:
        # The reader (head, less) has gone: no message can reach it, and Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the last resort: a traceback on a user's screen is a bug
        return _told_ours(error)
    return code


def _told(error: MikoshiError, parsed: argparse.Namespace) -> int:
    """Say what happened on standard error (and as data with --json)."""
    from mikoshi.cli.explain import exit_code, explain
    from mikoshi.cli.output import error_text, print_json_error

    if getattr(parsed, "json", False):
        print_json_error(error)
    sys.stderr.write(error_text(explain(error)))
    return exit_code(error)


def _told_ours(error: Exception) -> int:
    """An error that nobody foresaw: its trace goes into a file, not on the screen."""
    from mikoshi.cli.crash import write_report

    report = write_report(error)
    sys.stderr.write(
        f"mikoshi: unexpected {type(error).__name__}: {error}\n"
        f"  This is a fault of Mikoshi, not yours. The details are in {report}\n"
        "  Nothing is lost: run the same command again to go on, and report the file with what you did.\n"
    )
    return 1
