"""A child process on this machine as a stream: a local engine, or the system's ssh.

Must leave no child behind, however it is ended or cancelled.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Self

from mikoshi.adapters.transports.stream import Tail
from mikoshi.core.errors import ConnectionLost
from mikoshi.ports.remote import Sink

_READ = 1 << 18
_GRACE = 0.4  # seconds, twice in a close: after the input's end, and after SIGTERM


class ProcessStream:
    """A child's standard input and output; its error output is read all the time and its tail kept."""

    def __init__(self, process: Process, whole_group: bool, stderr: Sink | None) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._whole_group = whole_group
        self._stdin, self._stdout, self._stderr = process.stdin, process.stdout, process.stderr
        self._tail = Tail()
        self.complaints = asyncio.create_task(self._listen(stderr))

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        whole_group: bool,
        stderr: Sink | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """Start `command` in a session of its own, so that Ctrl-C reaches us alone. Raises OSError.

        `whole_group`: closing ends all processes of its group, not only the child itself. `stderr` gets the error
        output as it arrives; what it raises is raised by the task `complaints`. `environment` None: this process's own.
        """
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True, limit=_READ, env=environment
        )
        return cls(process, whole_group, stderr)

    @property
    def status(self) -> int | None:
        """How the child ended (negative: by that signal), None while it runs."""
        return self._process.returncode

    async def write(self, data: bytes) -> None:
        """Send `data`; returns when more can be taken. Raises ConnectionLost."""
        try:
            self._stdin.write(data)
            await self._stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise await self._lost("sending") from None

    async def receive(self) -> bytes:
        """The next bytes, b"" at their end, however the child ended."""
        return await self._stdout.read(_READ)

    async def read(self) -> bytes:
        """The next bytes, b"" once the child ended with 0. Raises ConnectionLost if it ended otherwise."""
        data = await self.receive()
        if not data and await self.wait() != 0:
            raise await self._lost("receiving")
        return data

    async def wait(self) -> int:
        """Wait for the child's end and return how it ended; all of its complaints are there then."""
        status = await self._process.wait()
        await asyncio.wait([self.complaints], timeout=_GRACE)  # a grandchild may hold the pipe open
        return status

    async def end_input(self) -> None:
        """Let the child see the end of its input; one that has ended is no error."""
        self._stdin.close()
        try:
            await self._stdin.wait_closed()
        except (BrokenPipeError, ConnectionResetError):
            pass  # it did not want to read all of it

    def last_words(self) -> str:
        """The last of what the child wrote to its error output."""
        return self._tail.text()

    async def close(self) -> None:
        """End the child: by its input's end, else by SIGTERM, else by SIGKILL; under a second in all."""
        try:
            self._stdin.close()
            for number in (signal.SIGTERM, signal.SIGKILL):
                if not await self._ended(_GRACE):
                    self._signal(number)
            await self._ended(_GRACE / 4)
        finally:
            self._signal(signal.SIGKILL)
            self.complaints.cancel()
            self._drop_pipes()

    async def _ended(self, within: float) -> bool:
        try:
            await asyncio.wait_for(self._process.wait(), within)
        except TimeoutError:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        """Signal the child, or its group: a group outlives its leader, and its number is not reused before its end."""
        if not self._whole_group and self.status is not None:
            return
        try:
            if self._whole_group:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)
        except ProcessLookupError:
            pass  # all of them have ended

    def _drop_pipes(self) -> None:
        """Close our ends even if a grandchild holds the others: asyncio itself waits for their end."""
        transport = self._process._transport  # type: ignore[attr-defined] # noqa: SLF001 - the only way to it
        transport.close()

    async def _listen(self, sink: Sink | None) -> None:
        while data := await self._stderr.read(_READ):
            self._tail.add(data)
            if sink is not None:
                sink(data)

    async def _lost(self, during: str) -> ConnectionLost:
        await self._ended(_GRACE)
        if self.status is not None:
            await self.wait()
        words = self.last_words()
        if not words and self.status is not None and self.status < 0:
            words = f"killed by signal {-self.status}"
        return ConnectionLost(during=during, detail=words)
