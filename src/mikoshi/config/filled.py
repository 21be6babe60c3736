"""What a merged tree means, with the schema's defaults in every place that was left out."""

from __future__ import annotations

from typing import Any

from mikoshi.config.document import Node
from mikoshi.config.schema import Items, Later, Leaf, Names, OtherStyle, Spec, Table


class Absent:
    """Stands for a value that was left out and has no default."""


ABSENT = Absent()


def filled(spec: Spec, node: Node | None) -> Any:
    """Tables as dicts, lists as lists, scalars as what they mean; ABSENT for what is not there. No node may be bad."""
    match spec:
        case Leaf() if node is not None:
            return node.parsed
        case Leaf():
            return ABSENT if spec.default is None else spec.parse(spec.default)
        case Table():
            return ABSENT if spec.optional and node is None else _table(spec, node)
        case Names():
            entries: dict[str, Node] = {} if node is None else node.value
            return {name: filled(spec.item, item) for name, item in entries.items()}
        case Items():
            return [filled(spec.item, item) for item in node.value] if node else list(spec.default)
        case Later() | OtherStyle():
            return ABSENT


def _table(spec: Table, node: Node | None) -> dict[str, Any]:
    values = {key: filled(below, node.get(key) if node else None) for key, below in spec.keys.items()}
    return {key: value for key, value in values.items() if value is not ABSENT}
