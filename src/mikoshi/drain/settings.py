"""What can be set for draining, from the environment."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mikoshi.drain.refused import Refused

SECONDS = "MIKOSHI_DRAIN_SECONDS"
DEFAULT_SECONDS = 1.0


def drain_seconds(environment: Mapping[str, str]) -> float:
    """For how many seconds kept connections are still answered after the signal. Raises Refused."""
    text = environment.get(SECONDS, "").strip()
    if not text:
        return DEFAULT_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise Refused(f"{SECONDS}: expected a number of seconds like 1.5, got {text!r}")
    return seconds
