"""The processes of an environment, read again and again: for looking at. Changes nothing and takes no lease.

Each node is read at its own pace, so one that hangs holds nobody up; one that is lost is tried again after pauses.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from mikoshi.core.errors import HostTimeout, MikoshiError
from mikoshi.core.messages import Processes, ProcessView
from mikoshi.engine.fleet import Fleet

PAUSES = (1.0, 2.0, 4.0, 8.0)
# A node that has not answered for so long is given up and connected to anew, in seconds.
_PATIENCE = 10.0


@dataclass(frozen=True)
class Seen:
    """A node as it was read last, and the time before that. `error` says why it is out of reach now."""

    processes: tuple[ProcessView, ...] = ()
    before: tuple[ProcessView, ...] = ()
    error: MikoshiError | None = None


@dataclass
class Watch:
    """Reads `nodes` every so many seconds. `seen` has no entry for a node that has not answered yet."""

    fleet: Fleet
    nodes: tuple[str, ...]
    every: float
    seen: dict[str, Seen] = field(default_factory=dict)

    async def once(self) -> None:
        """Read every node once."""
        await asyncio.gather(*map(self._look, self.nodes))

    async def keep(self, node: str) -> None:
        """Read one node for as long as somebody looks."""
        tries = 0
        while True:
            await self._look(node)
            tries = tries + 1 if self.seen[node].error else 0
            await self.fleet.clock.sleep(PAUSES[min(tries, len(PAUSES)) - 1] if tries else self.every)

    async def _look(self, node: str) -> None:
        before = self.seen.get(node, Seen()).processes
        try:
            if self.fleet.is_lost(node):
                await self.fleet.reconnect(node)
                found = self.fleet.views[node].processes
            else:
                found = await self._ask(node)
            self.seen[node] = Seen(found, before)
        except MikoshiError as error:
            self.seen[node] = Seen(error=error.on(node))

    async def _ask(self, node: str) -> tuple[ProcessView, ...]:
        try:
            async with asyncio.timeout(_PATIENCE):
                reply = await self.fleet.ask(node, Processes())
        except TimeoutError:
            error = HostTimeout("looking at the processes", _PATIENCE).on(node)
            self.fleet.sessions[node].give_up(error)
            raise error from None
        return tuple(ProcessView(**one) for one in reply.fields["processes"])
