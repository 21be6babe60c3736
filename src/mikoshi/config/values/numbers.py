"""Counts, and amounts of nodes."""

from __future__ import annotations

import re

from mikoshi.config.problems import Unexpected
from mikoshi.config.schema import Parse
from mikoshi.core.rollout import Amount

_PERCENT = re.compile(r"(\d{1,3})\s?%")


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def count(least: int, most: int) -> Parse:
    """A parser for whole numbers from `least` to `most`."""

    def parse(value: object) -> int:
        number = _integer(value)
        if number is None or not least <= number <= most:
            raise Unexpected(f"a whole number from {least} to {most}")
        return number

    return parse


def amount(value: object) -> Amount:
    """So many nodes, or so many percent of them."""
    expected = 'a number of nodes or a percentage like "25%"'
    number = _integer(value)
    if number is not None and 1 <= number <= 1_000_000:
        return Amount(count=number)
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match and 1 <= int(match.group(1)) <= 100:
        return Amount(percent=int(match.group(1)))
    if number is not None or match:
        raise Unexpected(expected, "at least one node, and from 1% to 100%")
    raise Unexpected(expected)
