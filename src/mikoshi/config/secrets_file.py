"""The file of secrets: lines `NAME=value` or `NAME=$(command)`.

Reading only; no command is run here. A message about a line never holds what is in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LINE = re.compile(r"\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*?)\s*")
_COMMAND = re.compile(r"\$\((?P<command>.*\S.*)\)")
_SINGLE = re.compile(r"'(?P<text>[^']*)'\s*(?:#.*)?")
_DOUBLE = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True)
class Entry:
    """One secret of the file, at `line`: its value, or the command whose output is the value."""

    line: int
    value: str = field(default="", repr=False)
    command: str = field(default="", repr=False)


@dataclass(frozen=True)
class SecretsFile:
    """What the file says: entries by name, and problems as (line, sentence)."""

    entries: dict[str, Entry]
    problems: tuple[tuple[int, str], ...]


def parse_secrets(text: str) -> SecretsFile:
    """Read a file of secrets.

    Blank lines and lines that begin with "#" say nothing. A value goes to the end of its line, without the blanks
    around it, or stands in quotes: single ones keep everything as it is, double ones know \\n, \\t, \\", \\\\ and $(…).
    """
    entries: dict[str, Entry] = {}
    problems: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        entry = _entry(number, match["value"]) if match else None
        if match is None or entry is None:
            problems.append((number, "expected NAME=value or NAME=$(command), and quotes that are closed"))
        elif match["name"] in entries:
            first = entries[match["name"]].line
            problems.append((number, f"{match['name']} is there already, in line {first}"))
        else:
            entries[match["name"]] = entry
    return SecretsFile(entries, tuple(problems))


def _entry(line: int, written: str) -> Entry | None:
    if written.startswith("'"):
        single = _SINGLE.fullmatch(written)
        return Entry(line, value=single["text"]) if single else None
    if written.startswith('"'):
        double = _DOUBLE.fullmatch(written)
        if double is None:
            return None
        if command := _COMMAND.fullmatch(double["text"]):
            return Entry(line, command=_unescaped(command["command"]))
        return Entry(line, value=_unescaped(double["text"]))
    if written.startswith("$("):
        command = _COMMAND.fullmatch(written)
        return Entry(line, command=command["command"].strip()) if command else None
    return None if "\0" in written else Entry(line, value=written)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), text)
