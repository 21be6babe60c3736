"""The text of mikoshi.toml as a tree of values that know their place.

Reading only: what the values mean is not known here. A text that is not TOML is one problem with its line.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from mikoshi.config.positions import KeyPath, positions
from mikoshi.config.problems import Place, Problems, joined

# The standard library gives the place of a syntax error only inside its message (until Python 3.14).
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_AT_END = re.compile(r" \(at end of document\)$")


@dataclass(frozen=True)
class Node:
    """A value and its place. `value` is a dict of nodes, a list of nodes, or a scalar as written.

    `parsed` is what the scalar means, once it was checked. `bad`: it was found wrong, nothing may be concluded from it.
    `whole`: a scalar that stands for a table; it replaces what it is merged over.
    """

    value: Any
    place: Place
    parsed: Any = None
    bad: bool = False
    whole: bool = False

    def get(self, key: str) -> Node | None:
        """The entry of a table that is present and not bad."""
        found = self.value.get(key) if isinstance(self.value, dict) else None
        return None if found is None or found.bad else found

    def below(self, *keys: str | int) -> str:
        """The key path of something below this table or list."""
        return joined_below(self.place.path, *keys)


def joined_below(path: str, *keys: str | int) -> str:
    """A key path made longer."""
    tail = joined(keys)
    return path + tail if not path or tail.startswith("[") else f"{path}.{tail}"


def read_document(data: bytes, problems: Problems) -> Node | None:
    """The document as a tree, or None after noting in `problems` why it cannot be read."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        problems.add(Place(data[: error.start].count(b"\n") + 1, ""), "the file is not UTF-8 text")
        return None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    try:
        values = tomllib.loads(text)
        lines = positions(text)
        return _node(values, (), Place(1, ""), lines)
    except tomllib.TOMLDecodeError as error:
        problems.add(*_syntax_problem(str(error), text))
    except RecursionError:
        problems.add(Place(1, ""), "values are nested too deeply")
    except ValueError as error:
        # Not TOML's fault: a date that does not exist, a number of thousands of digits.
        problems.add(Place(1, ""), f"a value cannot be read: {error}")
    return None


def _syntax_problem(message: str, text: str) -> tuple[Place, str]:
    line = 1
    if found := _AT_LINE.search(message):
        line, message = int(found.group(1)), message[: found.start()]
    elif found := _AT_END.search(message):
        line, message = text.rstrip("\n").count("\n") + 1, message[: found.start()] + " at the end of the file"
    return Place(line, ""), f"not TOML: {message[:1].lower()}{message[1:]}"


def _node(value: object, path: KeyPath, above: Place, lines: dict[KeyPath, int]) -> Node:
    place = Place(lines.get(path, above.line), joined(path))
    if isinstance(value, dict):
        return Node({key: _node(item, (*path, key), place, lines) for key, item in value.items()}, place)
    if isinstance(value, list):
        return Node([_node(item, (*path, index), place, lines) for index, item in enumerate(value)], place)
    return Node(value, place)
