"""argparse, speaking as the rest of Mikoshi does, and the arguments that several verbs share."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse gives this type no public name
Run = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """An ArgumentParser without abbreviations, that suggests the verb that was probably meant."""

    def __init__(self, **options: object) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line; exit 2."""
        sys.stderr.write(f"mikoshi: {message}{self._suggestion(message)}\n  See `{self.prog} --help`.\n")
        raise SystemExit(2)

    def _suggestion(self, message: str) -> str:
        words = message.split("'")
        if "invalid choice" not in message or len(words) < 2:
            return ""
        near = difflib.get_close_matches(words[1], words[3::2], n=1)
        return f"\n  Did you mean `{near[0]}`?" if near else ""


class Grouped(argparse.RawDescriptionHelpFormatter):
    """Help that lists the verbs under headings: what one is looking for, not when it was written."""

    groups: Mapping[str, tuple[str, ...]] = {}

    def _format_action(self, action: argparse.Action) -> str:
        if not isinstance(action, Verbs):
            return super()._format_action(action)
        summaries = {one.dest: one.help or "" for one in action._choices_actions}  # noqa: SLF001 - as above
        wide = max(map(len, summaries)) + 2
        lines = []
        for heading, names in self.groups.items():
            lines.append(f"\n{heading}:")
            lines.extend(f"  {name.ljust(wide)}{summaries[name]}" for name in names)
        return "\n".join(lines) + "\n"


def verb(verbs: Verbs[Parser], name: str, run: Run, summary: str, description: str = "") -> Parser:
    """A verb's own parser; `run` gets the parsed arguments and returns the exit code."""
    parser = verbs.add_parser(name, help=summary, description=description or summary)
    parser.set_defaults(run=run)
    return parser


def add_environment(parser: argparse.ArgumentParser) -> None:
    """ENV, which may be left out."""
    parser.add_argument("env", nargs="?", metavar="ENV", help="the environment ($MIKOSHI_ENV, or the only one)")


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """--json"""
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def add_changes(parser: argparse.ArgumentParser, kept: str = "with the deployment") -> None:
    """The options of verbs that change something."""
    parser.add_argument("-m", "--message", default="", help=f"why; kept {kept}")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
    add_json(parser, "each event")


def add_only(parser: argparse.ArgumentParser, what: str) -> None:
    """--only"""
    parser.add_argument("--only", action="append", metavar="HOST", help=f"{what} this host only (may be repeated)")
