"""An open loop: a request begins when it is due, whether or not earlier ones have been answered.

A closed loop would ask less just when the site is slow, and so hide what it is to measure.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from mikoshi.ports.clock import Clock
from mikoshi.ports.web import NOT_SENT, Answer, Site

IN_FLIGHT = 256
Taken = Callable[[float, float, Answer], None]


class Load:
    """`rate` requests a second to `site`, every other one on a fresh connection; `taken` gets begin, end and answer.

    While `bound` requests are under way, one more is not sent, and taken as NOT_SENT.
    """

    def __init__(self, site: Site, clock: Clock, rate: float, taken: Taken, bound: int = IN_FLIGHT) -> None:
        self._site, self._clock, self._rate, self._taken, self._bound = site, clock, rate, taken, bound
        self._open: dict[asyncio.Task[None], float] = {}
        self._schedule: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin. Needs a running event loop."""
        self._schedule = asyncio.create_task(self._run())

    async def _run(self) -> None:
        begun = self._clock.monotonic()
        for number in itertools.count():
            await self._clock.sleep(max(0.0, begun + number / self._rate - self._clock.monotonic()))
            self._begin(number)

    def _begin(self, number: int) -> None:
        now = self._clock.monotonic()
        if len(self._open) >= self._bound:
            self._taken(now, now, Answer(NOT_SENT))
            return
        task = asyncio.create_task(self._ask(now, fresh=number % 2 == 0))
        self._open[task] = now

    async def _ask(self, began: float, *, fresh: bool) -> None:
        answer = await self._site.get(fresh=fresh)
        task = asyncio.current_task()
        assert task is not None
        del self._open[task]
        self._taken(began, self._clock.monotonic(), answer)

    async def settled(self) -> None:
        """Return when every request that has begun by now is answered. Raises what went wrong in the probe itself."""
        under_way = list(self._open)
        if under_way:
            await asyncio.wait(under_way)  # unlike gather, it leaves them alone if it is cancelled itself
        for task in under_way:
            task.result()

    def stop(self) -> None:
        """Begin no more requests."""
        if self._schedule is not None:
            self._schedule.cancel()

    async def close(self) -> list[float]:
        """Stop, and give up what is under way; returns when those requests had begun."""
        self.stop()
        given_up = dict(self._open)
        for task in given_up:
            task.cancel()
        schedule = [self._schedule] if self._schedule is not None else []
        await asyncio.gather(*given_up, *schedule, return_exceptions=True)
        await self._site.close()
        return list(given_up.values())
