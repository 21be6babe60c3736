"""The built-in SSH client: asyncssh, which is loaded when the first host is reached, because that takes 0.2 s."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from mikoshi.adapters.transports.bootstrap import command_line, shell_command
from mikoshi.adapters.transports.channel import START, EngineChannel
from mikoshi.adapters.transports.engine_zip import EngineZip, node_engine
from mikoshi.adapters.transports.progress import Progress
from mikoshi.adapters.transports.pump import pump
from mikoshi.adapters.transports.ssh_options import SshOptions
from mikoshi.core.address import Address
from mikoshi.core.errors import HostTimeout, MikoshiError, TransportMissing
from mikoshi.ports.remote import Sink
from mikoshi.ports.transport import Traffic

if TYPE_CHECKING:
    from mikoshi.adapters.transports.login import Connection


class AsyncsshTransport:
    """Transport and RemoteShell by asyncssh. One connection a channel; nothing is kept."""

    def __init__(self, options: SshOptions, engine: EngineZip | None = None) -> None:
        """`engine` None is the installed package's own."""
        self._options = options
        self._engine = engine
        self._free = asyncio.Semaphore(options.connections)

    async def open(self, address: Address) -> EngineChannel:
        """A channel to the engine on `address`; waits while as many as allowed are open. See ports.transport."""
        _need_asyncssh(address)
        from mikoshi.adapters.transports.ssh_session import SshStream, start_command

        engine = self._engine or node_engine()
        command = command_line(engine)
        async with contextlib.AsyncExitStack() as undo:
            await self._free.acquire()
            undo.callback(self._free.release)
            progress = Progress(Traffic())
            async with self._limit(address, progress):
                connection = await self._log_in(address, progress)
                undo.callback(connection.abort)
                progress.phase = START
                progress.traffic.bytes_sent += len(command)
                session = await start_command(connection, command, self._options)
                channel = EngineChannel(
                    SshStream(session, connection), address.name, progress.traffic, self._free.release
                )
                await channel.start(engine)
            undo.pop_all()
            return channel

    async def run(
        self,
        address: Address,
        command: str,
        stdin: AsyncIterator[bytes] | bytes = b"",
        stdout: Sink | None = None,
        stderr: Sink | None = None,
    ) -> int:
        """Run `command` with /bin/sh on `address`; see ports.remote."""
        _need_asyncssh(address)
        from mikoshi.adapters.transports.ssh_session import SshStream, start_command

        async with self._free:
            progress = Progress(Traffic())
            async with self._limit(address, progress):
                connection = await self._log_in(address, progress)
            try:
                session = await start_command(connection, shell_command(command), self._options, stderr)
                try:
                    return await pump(session, stdin, stdout)
                finally:
                    await SshStream(session, connection).close()
            except MikoshiError as error:
                raise error.on(address.name) from None
            finally:
                connection.abort()

    async def close(self) -> None:
        """Nothing is kept beyond single channels."""

    async def _log_in(self, address: Address, progress: Progress) -> Connection:
        from mikoshi.adapters.transports.login import log_in

        return await log_in(address, self._options, progress)

    @contextlib.asynccontextmanager
    async def _limit(self, address: Address, progress: Progress) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._options.connect):
                yield
        except TimeoutError:
            raise HostTimeout(progress.phase, self._options.connect).on(address.name) from None
        except MikoshiError as error:
            raise error.on(address.name) from None


def _need_asyncssh(address: Address) -> None:
    if importlib.util.find_spec("asyncssh") is None:
        raise TransportMissing(needs="the Python package asyncssh").on(address.name)
