"""`rollout`: in what waves a deployment spreads, and how much may go wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mikoshi.config.schema import Leaf, Table
from mikoshi.config.values.durations import duration
from mikoshi.config.values.numbers import amount, count
from mikoshi.core.rollout import Policy

_BUDGET = Leaf(count(0, 1_000_000), 0)
ROLLOUT = Table(
    {
        "first": Leaf(amount, 1),
        "step": Leaf(amount, "100%"),
        "bake": Leaf(duration, "0s"),
        "max_failures": _BUDGET,
        "max_unreachable": _BUDGET,
    }
)


def rollout_of(table: Mapping[str, Any]) -> Policy:
    """The policy from its merged table."""
    return Policy(
        first=table["first"],
        step=table["step"],
        bake=table["bake"],
        max_failures=table["max_failures"],
        max_unreachable=table["max_unreachable"],
    )
