"""Puts one level of the configuration over another: tables merge, lists and scalars replace.

Every value keeps the place it was written at, so that it can be shown where it comes from.
"""

from __future__ import annotations

from dataclasses import replace

from mikoshi.config.document import Node
from mikoshi.config.problems import Place

NOWHERE = Place(0, "")
NOTHING = Node({}, NOWHERE)


def merged(under: Node | None, over: Node | None) -> Node:
    """`over` on top of `under`; a level that is not there is None. The place is that of the upper one."""
    if over is None or under is None:
        return over or under or NOTHING
    if under.bad or over.bad or over.whole:
        return over
    if not isinstance(under.value, dict) or not isinstance(over.value, dict):
        return over
    both = dict(under.value)
    for key, item in over.value.items():
        both[key] = merged(both.get(key), item)
    return replace(over, value=both)


def table(node: Node | None) -> dict[str, Node]:
    """The entries of a table that are not bad; none for a table that is not there."""
    if node is None or node.bad or not isinstance(node.value, dict):
        return {}
    return {key: item for key, item in node.value.items() if not item.bad}


def plain(node: Node) -> object:
    """What a checked tree means, without places."""
    if isinstance(node.value, dict) and node.parsed is None:
        return {key: plain(item) for key, item in node.value.items()}
    if isinstance(node.value, list) and node.parsed is None:
        return [plain(item) for item in node.value]
    return node.parsed
