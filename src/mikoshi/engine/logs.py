"""The output of an environment's processes: the last lines of all nodes, and what follows, for as long as it is read.

A node that is lost is tried again with growing pauses. What it says then begins in what was read already, so nothing
is shown twice, and where lines may be missing that is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from mikoshi.core.errors import ConnectionLost, InfrastructureError, MikoshiError
from mikoshi.core.events import Event, NodeOutput
from mikoshi.core.messages import Logs
from mikoshi.engine.fleet import Fleet
from mikoshi.engine.loglines import Line, Novelty, Places, last, parse

# Seconds between the tries to reach a node that was lost; the last one again and again.
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
# Lines that are asked for once more when reading goes on, besides those that were asked for at first.
_OVERLAP = 1_000
_AGAIN = 100_000


@dataclass(frozen=True)
class Lost:
    """A node is out of reach; it is tried again if `again`."""

    node: str
    error: MikoshiError
    again: bool


@dataclass(frozen=True)
class Back:
    """A node that was lost is there again."""

    node: str


@dataclass(frozen=True)
class Gap:
    """Lines of a process may be missing here: more was printed while the node was lost than it could give again."""

    node: str
    process: str


News = Line | Lost | Back | Gap


@dataclass
class Reading:
    """One reading of logs. `heard` is the fleet's `emit`: what nodes print arrives there."""

    process: str
    lines: int
    _news: asyncio.Queue[News | None] = field(default_factory=asyncio.Queue)
    _places: dict[str, Places] = field(default_factory=dict)

    def heard(self, event: Event) -> None:
        """Take a node's line; other events are told otherwise."""
        if not isinstance(event, NodeOutput):
            return
        place = self._places.setdefault(event.node, Places()).of(event.source)
        line = parse(event.node, event.source, event.line, place.at)
        novelty = place.take(line.at)
        if novelty is Novelty.AFTER_GAP:
            self._news.put_nowait(Gap(event.node, event.source))
        if novelty is not Novelty.OLD:
            self._news.put_nowait(line)

    async def last(self, fleet: Fleet, nodes: tuple[str, ...]) -> list[Line]:
        """The last lines of the nodes together, by time. `fleet.errors` has who could not be asked."""
        await fleet.connect(nodes)
        await asyncio.gather(*(self._last(fleet, node) for node in tuple(fleet.sessions)))
        return last((one for one in self._heard() if isinstance(one, Line)), self.lines)

    async def _last(self, fleet: Fleet, node: str) -> None:
        try:
            await fleet.ask(node, Logs(self.process, self.lines))
        except MikoshiError as error:
            fleet.errors[node] = error.on(node)

    def _heard(self) -> list[News | None]:
        return [self._news.get_nowait() for _ in range(self._news.qsize())]

    async def follow(self, fleet: Fleet, nodes: tuple[str, ...]) -> AsyncGenerator[News, None]:
        """What comes after `last`, until nobody reads any more; ends by itself only if every node refused."""
        tasks = [asyncio.create_task(self._follow(fleet, node)) for node in nodes]
        ending = asyncio.create_task(self._end(tasks))
        try:
            while (news := await self._news.get()) is not None:
                yield news
        finally:
            for task in (*tasks, ending):
                task.cancel()
            await asyncio.gather(*tasks, ending, return_exceptions=True)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        self._news.put_nowait(None)

    async def _follow(self, fleet: Fleet, node: str) -> None:
        tries, away = 0, node in fleet.errors
        lines = self.lines + _OVERLAP if self.lines else 0
        while True:
            try:
                if fleet.is_lost(node):
                    await fleet.reconnect(node)
                if away:
                    self._news.put_nowait(Back(node))
                tries, away = 0, False
                self._places.setdefault(node, Places()).resume()
                await fleet.ask(node, Logs(self.process, lines, follow=True))
                raise ConnectionLost("following the logs", "").on(node)  # the engine there was told to end
            except MikoshiError as error:
                again = isinstance(error, InfrastructureError)
                if not away or not again:
                    self._news.put_nowait(Lost(node, error.on(node), again))
                if not again:
                    return
                away = True
            await fleet.clock.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            tries, lines = tries + 1, _AGAIN
