"""How the tour speaks: headings, paragraphs, differences and tables, on a terminal and in a plain log."""

from __future__ import annotations

import difflib
import shutil
import textwrap
from collections.abc import Mapping, Sequence

from mikoshi.cli.output import paint, table

_WIDEST = 100


class Astray(Exception):
    """A step did not do what it should. Its text says what was seen and what should have been."""


def heading(text: str) -> None:
    """Begin a part."""
    print()
    print(paint(f"── {text} " + "─" * max(4, _width() - len(text) - 4), "bold"), flush=True)


def say(text: str) -> None:
    """A paragraph."""
    print(textwrap.fill(" ".join(text.split()), _width(), break_long_words=False, break_on_hyphens=False), flush=True)


def prompt(words: Sequence[str]) -> None:
    """The command that runs now."""
    print()
    print(paint("$ " + " ".join(f'"{word}"' if " " in word else word for word in words), "blue"), flush=True)


def difference(name: str, old: str, new: str) -> None:
    """What an edit changed."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    print(f"  {name}")
    for line in list(lines)[2:]:
        if not line.startswith("@@"):
            print("    " + paint(line, "green" if line.startswith("+") else "red"), flush=True)


def rows(lines: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> None:
    """A table, indented."""
    print(textwrap.indent(table(lines, columns), "  "), flush=True)


def _width() -> int:
    return min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns)
