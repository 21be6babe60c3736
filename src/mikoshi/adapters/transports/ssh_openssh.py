"""The system's own ssh as a client: for what the built-in one cannot do, such as hardware keys or GSSAPI.

Every login is a process of its own. It never asks anything and never believes an unknown host.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator

from mikoshi.adapters.transports.bootstrap import command_line, shell_command
from mikoshi.adapters.transports.channel import START, EngineChannel
from mikoshi.adapters.transports.engine_zip import EngineZip, node_engine
from mikoshi.adapters.transports.marked_output import MarkedOutput, marked
from mikoshi.adapters.transports.openssh_login import FAILED, Login, SshProcess
from mikoshi.adapters.transports.pump import pump
from mikoshi.adapters.transports.ssh_options import SshOptions
from mikoshi.core.address import Address
from mikoshi.core.errors import ConnectionLost, HostTimeout, MikoshiError, TransportMissing
from mikoshi.ports.remote import Sink
from mikoshi.ports.transport import Traffic

_KNOWN_HOSTS_COMMAND = (8, 5)  # the OpenSSH version that has it


class OpensshTransport:
    """Transport and RemoteShell by the program `ssh`. One process a channel; nothing is kept."""

    def __init__(self, options: SshOptions, engine: EngineZip | None = None, program: str = "ssh") -> None:
        """`engine` None is the installed package's own. `program` is looked up in PATH."""
        self._options = options
        self._engine = engine
        self._program = program
        self._free = asyncio.Semaphore(options.connections)
        self._version: tuple[int, int] | None = None

    async def open(self, address: Address) -> EngineChannel:
        """A channel to the engine on `address`; waits while as many as allowed are open. See ports.transport."""
        engine = self._engine or node_engine()
        command = command_line(engine)
        traffic = Traffic(bytes_sent=len(command))
        async with contextlib.AsyncExitStack() as undo:
            await self._free.acquire()
            undo.callback(self._free.release)
            began = asyncio.get_running_loop().time()
            process = await self._log_in(address, command, traffic)
            undo.push_async_callback(process.close)
            channel = EngineChannel(process, address.name, traffic, self._free.release)
            try:
                async with asyncio.timeout_at(began + self._options.connect):
                    await channel.start(engine)
            except TimeoutError:
                raise HostTimeout(START, self._options.connect).on(address.name) from None
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
        async with self._free:
            process = await self._log_in(address, shell_command(marked(command)), Traffic(), stderr)
            output = MarkedOutput(stdout)
            try:
                status = await pump(process, stdin, output.take)
                if status == FAILED and output.status is None:
                    error = await process.named(ConnectionLost("the command", process.last_words()))
                    raise error.on(address.name)
                return status
            finally:
                await process.close()

    async def close(self) -> None:
        """Nothing is kept beyond single channels."""

    async def _log_in(self, address: Address, remote: str, traffic: Traffic, stderr: Sink | None = None) -> SshProcess:
        try:
            login = Login(self._program, await self._has_witness(), self._options, address, traffic)
            return await login.run(remote, stderr)
        except FileNotFoundError:
            raise TransportMissing(needs=self._program).on(address.name) from None
        except MikoshiError as error:
            raise error.on(address.name) from None

    async def _has_witness(self) -> bool:
        """Whether this ssh can tell which key a host shows. Raises FileNotFoundError without an ssh."""
        if self._version is None:
            process = await asyncio.create_subprocess_exec(
                self._program, "-V", stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
            )
            _, printed = await process.communicate()
            version = re.search(rb"OpenSSH_(?:for_Windows_)?(\d+)\.(\d+)", printed)
            self._version = (int(version[1]), int(version[2])) if version else (0, 0)
        return self._version >= _KNOWN_HOSTS_COMMAND
