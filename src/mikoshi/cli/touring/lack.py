"""What a chapter of the tour needs and a machine has not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lack:
    """What this machine has not, and what to do about it."""

    what: str
    remedy: str
