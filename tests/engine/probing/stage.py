"""A clock that is moved by hand, and a site that answers by script on it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from mikoshi.ports.web import TIMEOUT, Answer

GOOD = Answer("", 200)
Script = Callable[[float], tuple[Answer, float]]


async def settle() -> None:
    """Let everything that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass
class HandClock:
    """ports.clock.Clock; time passes in `advance` only."""

    at: float = 0.0
    _waiting: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def now(self) -> float:
        return 1_000_000.0 + self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self.at + seconds, next(self._numbers), waiter))
        await waiter

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass, and everybody do in time what they wait for."""
        end = self.at + seconds
        await settle()
        while self._waiting and self._waiting[0][0] <= end + 1e-9:
            until, _, waiter = heapq.heappop(self._waiting)
            self.at = max(self.at, until)
            if not waiter.done():
                waiter.set_result(None)
            await settle()
        self.at = end


@dataclass
class ScriptedSite:
    """ports.web.Site: `script` says for the time at which a request begins its answer and how long that takes."""

    clock: HandClock
    script: Script = lambda _: (GOOD, 0.01)
    began: list[float] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    closed: bool = False

    async def get(self, *, fresh: bool) -> Answer:
        self.began.append(self.clock.monotonic())
        self.fresh.append(fresh)
        answer, seconds = self.script(self.clock.monotonic())
        await self.clock.sleep(seconds)
        return answer

    async def close(self) -> None:
        self.closed = True


def stalled(_at: float) -> tuple[Answer, float]:
    """No answer within ten seconds."""
    return Answer(TIMEOUT), 10.0
