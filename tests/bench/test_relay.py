"""The relay: bytes, ends and resets arrive, and late."""

from __future__ import annotations

import asyncio
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

import pytest
from bench.relay import relay, reset

Session = Callable[[StreamReader, StreamWriter], Awaitable[None]]
DELAY = 0.05


def across(serve: Session, talk: Session) -> None:
    """Let a client talk to a server over a relay."""

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with relay(url, DELAY) as far, asyncio.timeout(20):
                reader, writer = await asyncio.open_connection("127.0.0.1", int(far.rpartition(":")[2]))
                await talk(reader, writer)
                writer.close()

    asyncio.run(run())


def test_what_is_sent_comes_back_after_twice_the_delay() -> None:
    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(await reader.read(1000) + b" and back")
        assert await reader.read() == b""
        writer.close()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        begun = time.monotonic()
        writer.write(b"there")
        assert await reader.read(1000) == b"there and back"
        assert time.monotonic() - begun >= 2 * DELAY
        writer.write_eof()
        assert await reader.read() == b""

    across(serve, talk)


def test_a_request_that_meets_a_closed_connection_is_lost() -> None:
    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        writer.close()

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"too late")
        assert await reader.read() == b""

    across(serve, talk)


def test_a_reset_is_carried_as_a_reset() -> None:
    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read(1000)
        reset(writer)

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(b"there")
        with pytest.raises(ConnectionResetError):
            assert await reader.read() != b""

    across(serve, talk)
