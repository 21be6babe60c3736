"""Walks a document along the schema and notes every problem; never stops at the first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mikoshi.config.document import Node
from mikoshi.config.problems import Place, Problems, Unexpected, did_you_mean, kind
from mikoshi.config.schema import Items, Later, Leaf, Names, OtherStyle, Spec, Table

NOT_YET = "not supported yet"


def checked(spec: Spec, node: Node, problems: Problems) -> Node:
    """The same tree with every scalar parsed, short forms written out, and what is wrong marked bad."""
    match spec:
        case Leaf():
            return _leaf(spec, node, problems)
        case Later():
            problems.add(node.place, NOT_YET)
            return replace(node, bad=True)
        case Table():
            return _table(spec, node, problems)
        case Names():
            return _names(spec, node, problems)
        case Items():
            return _items(spec, node, problems)
        case OtherStyle():
            if _is_table(node, problems):
                _refuse_unknown(node, spec.keys, problems)
            return replace(node, bad=True)


def _leaf(spec: Leaf, node: Node, problems: Problems) -> Node:
    value = bare(node)
    try:
        return replace(node, parsed=spec.parse(value))
    except Unexpected as error:
        problems.add(node.place, error.text(value))
        return replace(node, bad=True)


def bare(node: Node) -> object:
    """The value as it was read, without places."""
    if isinstance(node.value, dict):
        return {key: bare(item) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [bare(item) for item in node.value]
    return node.value


def _table(spec: Table, node: Node, problems: Problems) -> Node:
    if spec.short and not isinstance(node.value, dict):
        node = Node({spec.short: Node(node.value, node.place)}, node.place, whole=True)
    if not _is_table(node, problems):
        return replace(node, bad=True)
    _refuse_unknown(node, spec.keys, problems)
    for key in spec.required:
        if key not in node.value:
            problems.add(Place(node.place.line, node.below(key)), "missing")
    known = {key: checked(spec.keys[key], item, problems) for key, item in node.value.items() if key in spec.keys}
    return replace(node, value=known, bad=any(key not in known for key in spec.required))


def _names(spec: Names, node: Node, problems: Problems) -> Node:
    if not _is_table(node, problems):
        return replace(node, bad=True)
    named: dict[str, Node] = {}
    for name, item in node.value.items():
        try:
            spec.name(name)
        except Unexpected as error:
            problems.add(item.place, error.text(name))
            item = replace(item, bad=True)
        below = checked(spec.item, item, problems)
        named[name] = replace(below, bad=below.bad or item.bad)
    return replace(node, value=named)


def _items(spec: Items, node: Node, problems: Problems) -> Node:
    if not isinstance(node.value, list):
        if spec.table_later and isinstance(node.value, dict):
            problems.add(node.place, f"{kind(node.value)} here: {NOT_YET}; expected {spec.expected}")
        else:
            problems.add(node.place, Unexpected(spec.expected, hide=True).text(node.value))
        return replace(node, bad=True)
    return replace(node, value=[checked(spec.item, item, problems) for item in node.value])


def _is_table(node: Node, problems: Problems) -> bool:
    if isinstance(node.value, dict):
        return True
    problems.add(node.place, Unexpected("a table", hide=True).text(bare(node)))
    return False


def _refuse_unknown(node: Node, known: Iterable[str], problems: Problems) -> None:
    for key, item in node.value.items():
        if key not in known:
            hint = did_you_mean(key, known)
            problems.add(item.place, "unknown key" + (f"; {hint}" if hint else ""))
