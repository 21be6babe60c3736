"""Time, as the engine is given it: so that tests can let hours pass, and nothing pure ever reads it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Three ways to ask for time."""

    def now(self) -> float:
        """Seconds since 1970, UTC. For people and records; it may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back. For waiting and measuring."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of the monotonic clock."""
        ...
