"""What is wrong with a configuration: collected, not raised one by one, so that a person sees all of it at once."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST = 60


@dataclass(frozen=True, order=True)
class Place:
    """A line of the file, from 1, and the key path there ("" for the document as a whole)."""

    line: int
    path: str


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong at one place."""

    place: Place
    text: str

    def shown(self, file: str) -> str:
        """The problem as one line: file, line, key path, what was expected."""
        path = f"{self.place.path}: " if self.place.path else ""
        return f"{file}:{self.place.line}: {path}{self.text}"


@dataclass
class Problems:
    """The problems found so far; saying one twice makes no difference."""

    found: set[Problem] = field(default_factory=set)

    def add(self, place: Place, text: str) -> None:
        """Note that something is wrong at `place`."""
        self.found.add(Problem(place, text))

    def shown(self, file: str) -> list[str]:
        """All problems as lines, in the order of the file."""
        return [problem.shown(file) for problem in sorted(self.found)]


class Unexpected(ValueError):
    """A value is not what is `expected`; `hint` says what to write instead. `hide`: the value must not be shown."""

    def __init__(self, expected: str, hint: str = "", hide: bool = False) -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint
        self.hide = hide

    def text(self, value: object) -> str:
        """The sentence for `value`."""
        got = kind(value) if self.hide else written(value)
        return f"expected {self.expected}, got {got}" + (f"; {self.hint}" if self.hint else "")


def kind(value: object) -> str:
    """What sort of value this is, in TOML's words."""
    match value:
        case bool():
            return "a truth value"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case dict():
            return "a table"
        case list():
            return "a list"
        case dt.date() | dt.time():
            return "a date or time"
        case _:
            return "nothing"


def written(value: object) -> str:
    """A scalar as TOML writes it, cut if long; of tables and lists only the kind."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
        return json.dumps(text, ensure_ascii=False)
    if isinstance(value, int | float):
        return str(value)
    return kind(value)


def joined(keys: Iterable[str | int]) -> str:
    """A key path as one writes it: `env.production.hosts[0]`, with quotes where TOML needs them."""
    path = ""
    for key in keys:
        if isinstance(key, int):
            path += f"[{key}]"
            continue
        name = key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)
        path += f".{name}" if path else name
    return path


def _prefix(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean "…"?` with the nearest of `known`, or "" if none is near."""
    import difflib

    candidates = sorted(known)
    near = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    # Words written out or cut short are far apart as strings: "environment" for "env".
    near += [other for other in candidates if min(len(name), len(other)) >= 3 and _prefix(name, other)]
    return f"did you mean {written(near[0])}?" if near else ""
