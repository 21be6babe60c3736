"""Durations as people write them: `30s`, `5m`, `1h30m`, `500ms`."""

from __future__ import annotations

import re

from mikoshi.config.problems import Unexpected, written

EXPECTED = 'a duration like "30s", "5m" or "1h30m"'
_PARTS = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?(?:(\d{1,6})ms)?")
_SECONDS = (3600.0, 60.0, 1.0, 0.001)


def duration(value: object) -> float:
    """Seconds. A number without a unit is refused: it says nothing about what was meant."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        whole = isinstance(value, int) and value >= 0
        raise Unexpected(EXPECTED, f"with its unit, for example {written(f'{value}s')}" if whole else "")
    match = _PARTS.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise Unexpected(EXPECTED)
    return sum(int(number) * unit for number, unit in zip(match.groups(), _SECONDS, strict=True) if number is not None)


def time_limit(value: object) -> float:
    """Seconds, more than none."""
    seconds = duration(value)
    if not seconds:
        raise Unexpected(EXPECTED, "it must be longer than nothing")
    return seconds
