"""Nodes on this machine, without SSH: the same engine as a child process, as the same user."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from mikoshi.adapters.transports.bootstrap import local_command
from mikoshi.adapters.transports.channel import START, EngineChannel
from mikoshi.adapters.transports.engine_zip import EngineZip, node_engine
from mikoshi.adapters.transports.process_stream import ProcessStream
from mikoshi.adapters.transports.pump import pump
from mikoshi.core.address import Address
from mikoshi.core.errors import HostTimeout, TransportMissing
from mikoshi.node.runner.units import WITHOUT
from mikoshi.ports.remote import Sink
from mikoshi.ports.transport import Traffic


class LocalTransport:
    """Transport and RemoteShell for addresses without a host."""

    def __init__(self, cache: Path, engine: EngineZip | None = None, connect: float = 10.0) -> None:
        """Engines are unpacked below `cache`/engine; one has to speak within `connect` seconds."""
        self._directory = cache / "engine"
        self._engine = engine
        self._connect = connect

    async def open(self, address: Address) -> EngineChannel:
        """A channel to an engine of its own. Raises PathUnusable, HostTimeout, ConnectionLost or TransportMissing."""
        engine = self._engine or node_engine()
        traffic = Traffic(connects=1)
        command = local_command(engine, self._directory, sys.executable)
        stream = await _start(command, address, whole_group=False, environment=_environment(address))
        channel = EngineChannel(stream, address.name, traffic)
        try:
            async with asyncio.timeout(self._connect):
                await channel.start(engine)
        except TimeoutError:
            await channel.close()
            raise HostTimeout(phase=START, seconds=self._connect).on(address.name) from None
        except BaseException:
            await channel.close()
            raise
        return channel

    async def run(
        self,
        address: Address,
        command: str,
        stdin: AsyncIterator[bytes] | bytes = b"",
        stdout: Sink | None = None,
        stderr: Sink | None = None,
    ) -> int:
        """Run `command` with /bin/sh here; see ports.remote."""
        process = await _start(["/bin/sh", "-c", command], address, whole_group=True, stderr=stderr)
        try:
            return await pump(process, stdin, stdout)
        finally:
            await process.close()

    async def close(self) -> None:
        """Nothing is kept beyond single channels."""


def _environment(address: Address) -> Mapping[str, str] | None:
    """Nodes that share this machine would also share a unit's name, and are for trying things: no systemd for them."""
    return {**os.environ, WITHOUT: "1"} if address.label else None


async def _start(
    command: list[str],
    address: Address,
    *,
    whole_group: bool,
    stderr: Sink | None = None,
    environment: Mapping[str, str] | None = None,
) -> ProcessStream:
    try:
        return await ProcessStream.start(command, whole_group=whole_group, stderr=stderr, environment=environment)
    except FileNotFoundError as error:
        raise TransportMissing(needs=str(error.filename)).on(address.name) from None
