"""What a configuration may hold, as data: which keys a table knows and what each value must be.

The sections say it with these types; `check` walks a document along them, `show` and the reference list them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# Turns a scalar as written into what it means; raises Unexpected.
Parse = Callable[[Any], Any]


@dataclass(frozen=True)
class Leaf:
    """One value. `default` is what holds if the key is left out, as one would write it; None: nothing."""

    parse: Parse
    default: object = None


@dataclass(frozen=True)
class Later:
    """A key that the design has and that is not built yet: never ignored, never unknown."""


@dataclass(frozen=True)
class Table:
    """A table with known keys. A scalar in its place is short for its key `short`, if there is one.

    `required` keys must be written in the table itself: it is part of a list, and lists do not merge.
    `optional`: left out, there is nothing at all, and the defaults of its keys do not count.
    """

    keys: Mapping[str, Spec]
    short: str = ""
    required: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Names:
    """A table whose keys are the user's own names, each checked by `name`."""

    name: Parse
    item: Spec


@dataclass(frozen=True)
class Items:
    """A list; `expected` says of what. `table_later`: a table in its place is known and not built yet."""

    item: Spec
    expected: str
    default: tuple[object, ...] = field(default=())
    table_later: bool = False


@dataclass(frozen=True)
class OtherStyle:
    """The table of a style that is not built yet: its keys must be known, what they say is not looked at."""

    keys: frozenset[str]


Spec = Leaf | Later | Table | Names | Items | OtherStyle


def key_paths(spec: Spec, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key that can be written and is built, tables included; `*` stands for a name of the user's."""
    match spec:
        case Table():
            for key, below in spec.keys.items():
                if not isinstance(below, Later | OtherStyle):
                    yield (*path, key)
                    yield from key_paths(below, (*path, key))
        case Names():
            yield (*path, "*")
            yield from key_paths(spec.item, (*path, "*"))
        case Items():
            yield from key_paths(spec.item, path)
        case Leaf() | Later() | OtherStyle():
            return
