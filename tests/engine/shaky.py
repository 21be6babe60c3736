"""Nodes on this machine that go away and come back, and a clock for which nobody waits long."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mikoshi.adapters.clock import SystemClock
from mikoshi.adapters.transports.channel import EngineChannel
from mikoshi.adapters.transports.local import LocalTransport
from mikoshi.core.address import Address
from mikoshi.core.errors import HostUnreachable


class Hasty(SystemClock):
    """Pauses are short."""

    async def sleep(self, seconds: float) -> None:
        """Hardly sleep."""
        await asyncio.sleep(0.02)


class Shaky(LocalTransport):
    """Nodes that are `away` cannot be reached."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache)
        self.away: set[str] = set()

    async def open(self, address: Address) -> EngineChannel:
        """A channel, if the node is there."""
        if address.name in self.away:
            raise HostUnreachable(address.name, "it is away")
        return await super().open(address)
