"""Counts, and amounts of nodes."""

from __future__ import annotations

import re

from mikoshi.config.problems import Unexpected
from mikoshi.config.schema import Parse
from mikoshi.core.rollout import Amount

_SIZE = re.compile(r"(\d{1,9})\s?([KMGT])i?B?", re.IGNORECASE)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
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


def byte_size(value: object) -> int:
    """Bytes, written like "512M" or "2G" (powers of 1024), at least one megabyte."""
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Unexpected('an amount of memory like "512M" or "2G"')
    size = int(match.group(1)) * _UNITS[match.group(2).upper()]
    if size < 1 << 20:
        raise Unexpected('an amount of memory like "512M" or "2G"', "no process can start in less than 1M")
    return size


def cores(value: object) -> float:
    """Processor cores, whole or in part."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.01 <= value <= 1024:
        raise Unexpected("a number of processor cores like 2 or 0.5")
    return float(value)
