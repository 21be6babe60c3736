"""One run of ssh as a stream: logged in once the host says anything, and its failures named."""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass

from mikoshi.adapters.transports.openssh_command import SshCommand, ssh_command
from mikoshi.adapters.transports.openssh_diagnosis import diagnose, probe, resolve
from mikoshi.adapters.transports.process_stream import ProcessStream
from mikoshi.adapters.transports.ssh_options import SshOptions
from mikoshi.core.address import Address
from mikoshi.core.errors import ConnectionLost, HostTimeout, HostUnreachable, MikoshiError
from mikoshi.ports.remote import Sink
from mikoshi.ports.transport import Traffic

FAILED = 255  # ssh(1): its own failure, as opposed to the command's status
_ATTEMPTS = 5
_PAUSE = 0.1  # seconds, doubled each time, with jitter
_ASKING = 1.0  # seconds for finding out why a login failed, or a quarter of the limit if that is less


class SshProcess:
    """A login that succeeded: its command's streams, and the files it was made with until it is closed."""

    def __init__(
        self, process: ProcessStream, command: SshCommand, silence: float, early: bytes, files: contextlib.ExitStack
    ) -> None:
        self._process = process
        self._command = command
        self._silence = silence
        self._early = early
        self._files = files
        self.complaints = process.complaints
        self.end_input = process.end_input
        self.last_words = process.last_words

    async def write(self, data: bytes) -> None:
        """Send `data`; returns when more can be taken. Raises ConnectionLost or HostTimeout."""
        try:
            await self._process.write(data)
        except ConnectionLost as error:
            raise await self.named(error) from None

    async def read(self) -> bytes:
        """The next bytes, b"" once the command ended with 0. Raises ConnectionLost or HostTimeout otherwise."""
        if self._early:
            return await self.receive()
        try:
            return await self._process.read()
        except ConnectionLost as error:
            raise await self.named(error) from None

    async def receive(self) -> bytes:
        """The next bytes, b"" at their end, however the command ended."""
        if self._early:
            early, self._early = self._early, b""
            return early
        return await self._process.receive()

    async def wait(self) -> int:
        """How ssh ended."""
        return await self._process.wait()

    async def named(self, error: ConnectionLost) -> MikoshiError:
        """`error`, or HostTimeout if ssh gave up and the host does not answer a new connection either."""
        if self._process.status != FAILED:
            return error
        target = await resolve(self._command)
        if target is not None and target.direct and isinstance(await probe(target, _ASKING), HostTimeout):
            return HostTimeout("keep-alive", self._silence)
        return error

    async def close(self) -> None:
        """End ssh, in under a second."""
        try:
            await self._process.close()
        finally:
            self._files.close()


@dataclass(frozen=True)
class Login:
    """What it takes to log in to one host. `witnessed`: this ssh has KnownHostsCommand."""

    program: str
    witnessed: bool
    options: SshOptions
    address: Address
    traffic: Traffic

    async def run(self, remote: str, stderr: Sink | None = None) -> SshProcess:
        """Start `remote`, which must print something at once; again while the host drops us before it says who it is.

        Raises HostUnreachable, HostTimeout, AuthenticationFailed, HostKeyUnknown or HostKeyChanged within the connect
        limit; ConnectionLost if `remote` ended without a word; FileNotFoundError without an ssh.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self.options.connect - self._asking
        words = ""
        for attempt in range(_ATTEMPTS):
            pause = random.uniform(0.5, 1.5) * _PAUSE * 2**attempt if attempt else 0.0
            await asyncio.sleep(min(pause, max(0.0, deadline - now())))
            self.traffic.connects += 1
            outcome = await self._attempt(remote, deadline - now(), stderr)
            if isinstance(outcome, SshProcess):
                return outcome
            words = outcome
        raise HostUnreachable(self.address.host, words)

    @property
    def _asking(self) -> float:
        return min(_ASKING, self.options.connect / 4)

    async def _attempt(self, remote: str, within: float, stderr: Sink | None) -> SshProcess | str:
        """A login, or what ssh said of one whose failure may pass. Raises for one that will not."""
        async with contextlib.AsyncExitStack() as undo:
            files = undo.enter_context(contextlib.ExitStack())
            command = files.enter_context(ssh_command(self.program, self.witnessed, self.options, self.address))
            process = await ProcessStream.start(command.remote(remote), whole_group=True, stderr=stderr)
            undo.push_async_callback(process.close)
            try:
                early = await asyncio.wait_for(process.receive(), max(0.0, within))
            except TimeoutError:
                raise await self._timeout(command) from None
            if early:
                undo.pop_all()
                return SshProcess(process, command, self.options.silence, early, files)
            status, words = await process.wait(), process.last_words()
            if status != FAILED:
                raise ConnectionLost("log in", words)
            error = await diagnose(command, self.address.host_key, words, self._asking)
            if error is not None:
                raise error
            return words

    async def _timeout(self, command: SshCommand) -> MikoshiError:
        """Which part of logging in hung."""
        limit = self.options.connect
        if command.shown()[1]:
            return HostTimeout("log in", limit)
        target = await resolve(command)
        if target is None or not target.direct:
            return HostTimeout("connect", limit)
        found = await probe(target, self._asking)
        return HostTimeout(found.phase if isinstance(found, HostTimeout) else "log in", limit)
