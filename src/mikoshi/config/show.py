"""Every value of an environment with the place it comes from: what `mikoshi config show` prints.

Secrets are in no configuration, only their names are: no value of one can come along here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mikoshi.config.check import bare
from mikoshi.config.document import Node, joined_below
from mikoshi.config.levels import Levels
from mikoshi.config.schema import Items, Later, Leaf, Names, OtherStyle, Spec, Table
from mikoshi.config.sections.document import APP
from mikoshi.config.sections.environment import ENVIRONMENT
from mikoshi.config.sections.process import PROCESSES
from mikoshi.config.sections.release import RELEASE

DEFAULT = "default"


@dataclass(frozen=True)
class Row:
    """One value: its key path inside the environment, the value as TOML writes it, and `FILE:LINE` or "default"."""

    key: str
    value: str
    origin: str


def rows_of(document: Node, levels: Levels, shown_as: str, derived: Mapping[str, str]) -> list[Row]:
    """All values of one environment. `derived` are defaults that depend on other values, by key."""
    walk = _Walk(shown_as, derived)
    settings = Table({key: spec for key, spec in ENVIRONMENT.keys.items() if key != "process"})
    return [
        *walk.rows(APP, document.get("app"), "app"),
        *walk.rows(RELEASE, document.get("release"), "release"),
        *walk.rows(PROCESSES, levels.processes, "process"),
        *walk.rows(settings, levels.settings, ""),
    ]


@dataclass(frozen=True)
class _Walk:
    shown_as: str
    derived: Mapping[str, str]

    def rows(self, spec: Spec, node: Node | None, path: str) -> Iterator[Row]:
        match spec:
            case Leaf():
                default = self.derived.get(path) if spec.default is None else spec.default
                if node is not None or default is not None:
                    yield self.row(node, default, path)
            case Table():
                if node is not None or not spec.optional:
                    for key, below in spec.keys.items():
                        yield from self.rows(below, node.get(key) if node else None, joined_below(path, key))
            case Names():
                for name, item in (node.value if node else {}).items():
                    yield from self.rows(spec.item, item, joined_below(path, name))
            case Items(item=Leaf()):
                yield self.row(node, list(spec.default), path)
            case Items():
                for index, item in enumerate(node.value if node else ()):
                    yield from self.written_only(spec.item, item, joined_below(path, index))
            case Later() | OtherStyle():
                return

    def written_only(self, spec: Spec, node: Node, path: str) -> Iterator[Row]:
        """Of an entry of a list: what it says, not what it leaves to the environment."""
        yield from (row for row in self.rows(spec, node, path) if row.origin != DEFAULT)

    def row(self, node: Node | None, default: object, path: str) -> Row:
        if node is None:
            return Row(path, toml_value(default), DEFAULT)
        return Row(path, toml_value(bare(node)), f"{self.shown_as}:{node.place.line}")


def toml_value(value: object) -> str:
    """A string, number, truth value or list of them as TOML writes it."""
    if isinstance(value, list):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
