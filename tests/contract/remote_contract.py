"""What every RemoteShell must hold. A test class inherits it and says in `shell` how commands are run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from mikoshi.core.address import Address
from mikoshi.ports.remote import RemoteShell
from tests.contract.scenario import eventually, scenario

MIB = 1 << 20


@dataclass
class Shell:
    """A remote shell under test, and what a command of its last run printed."""

    remote: RemoteShell
    address: Address
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)

    async def run(self, command: str, stdin: AsyncIterator[bytes] | bytes = b"") -> int:
        self.out.clear()
        self.err.clear()
        return await self.remote.run(self.address, command, stdin, self.out.extend, self.err.extend)


class RemoteShellContract:
    """Commands, streams, ends."""

    @scenario
    async def test_streams_and_status_are_those_of_the_command(self, shell: Shell) -> None:
        assert await shell.run("cat; echo wrong >&2; exit 7", b"in\0\xff\n") == 7
        assert bytes(shell.out) == b"in\0\xff\n"
        assert bytes(shell.err) == b"wrong\n"

    @pytest.mark.parametrize("status", [0, 1, 127, 255])
    @scenario
    async def test_every_status_is_told(self, shell: Shell, status: int) -> None:
        assert await shell.run(f"printf %s done; exit {status}") == status
        assert bytes(shell.out) == b"done"

    @scenario
    async def test_a_command_may_hold_any_character(self, shell: Shell) -> None:
        text = 'it\'s "quoted" \\ $HOME `id` !! %s ü 神輿 * ~ # \n second line'
        quoted = text.replace("'", "'\\''")
        assert await shell.run(f"printf %s '{quoted}'") == 0
        assert shell.out.decode() == text

    @scenario
    async def test_streams_larger_than_any_buffer_pass(self, shell: Shell) -> None:
        async def source() -> AsyncIterator[bytes]:
            for number in range(12):
                yield bytes([number]) * MIB

        assert await shell.run("cat", source()) == 0
        assert bytes(shell.out) == b"".join(bytes([number]) * MIB for number in range(12))

    @scenario
    async def test_a_command_that_reads_nothing_is_no_error(self, shell: Shell) -> None:
        async def endless() -> AsyncIterator[bytes]:
            while True:
                yield bytes(MIB)

        assert await shell.run("exit 4", endless()) == 4

    @scenario
    async def test_what_the_source_raises_is_raised_and_ends_the_command(self, shell: Shell) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"x"
            raise LookupError("source")

        with pytest.raises(LookupError, match="source"):
            await shell.run("cat; sleep 100", broken())

    @pytest.mark.parametrize("stream", ["1", "2"])
    @scenario
    async def test_what_a_sink_raises_is_raised_and_ends_the_command(self, shell: Shell, stream: str) -> None:
        def refuse(_: bytes) -> None:
            raise LookupError("sink")

        command = f"echo x >&{stream}; sleep 100"
        with pytest.raises(LookupError, match="sink"):
            await shell.remote.run(shell.address, command, b"", refuse, refuse)

    @scenario
    async def test_a_cancelled_command_is_let_go_of(self, shell: Shell) -> None:
        running = asyncio.create_task(shell.run("echo started; cat; sleep 100"))
        assert await eventually(lambda: bool(shell.out))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    @scenario
    async def test_streams_that_nobody_wants_are_dropped(self, shell: Shell) -> None:
        assert await shell.remote.run(shell.address, "echo out; echo err >&2") == 0
