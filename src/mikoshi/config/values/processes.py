"""How processes are stopped and replaced."""

from __future__ import annotations

import signal

from mikoshi.config.problems import Unexpected

ORDERS = ("start-first", "stop-first")
_NAMES = {number.name.removeprefix("SIG") for number in signal.Signals} - {"KILL", "STOP"}


def signal_name(value: object) -> str:
    """A signal's name without SIG; not those that a process cannot see."""
    name = value.upper().removeprefix("SIG") if isinstance(value, str) else ""
    if name not in _NAMES:
        hint = "it would be killed in the middle of its work" if name == "KILL" else ""
        raise Unexpected('a signal like "TERM" or "QUIT"', hint)
    return name


def replace_order(value: object) -> str:
    """Which of two generations of a process makes way."""
    if value not in ORDERS:
        raise Unexpected('"start-first" or "stop-first"')
    return str(value)
