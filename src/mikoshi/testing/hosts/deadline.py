"""Waiting for what another process does: look, and look again, but not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable

_INTERVAL = 0.005


def wait_until(condition: Callable[[], bool], within: float) -> bool:
    """Whether `condition` came true within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_INTERVAL)
    return True
