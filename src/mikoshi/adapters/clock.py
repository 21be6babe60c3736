"""The machine's own clock."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """ports.clock.Clock by the standard library."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
