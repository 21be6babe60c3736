"""A real HTTP server on loopback that answers as it is told to: well, badly, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def says(text: str) -> Act:
    """Send these bytes, and go on."""

    async def act(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode())
        await writer.drain()

    return act


def answers(status: int = 200, headers: str = "", body: str = "ok") -> Act:
    """Send a complete answer, and go on."""
    return says(f"HTTP/1.1 {status} So\r\nContent-Length: {len(body)}\r\n{headers}\r\n{body}")


def then_closes(text: str) -> Act:
    """Send these bytes, and end the connection properly."""

    async def act(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode())
        writer.close()

    return act


def then_resets(text: str) -> Act:
    """Send these bytes, and cut the connection."""

    async def act(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text.encode())
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return act


async def stalls(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Never answer; until the client goes away."""
    await reader.read()


@dataclass
class Server:
    """Each request meets the next of `acts`, the last one for ever. `requests` are what was asked, in order."""

    acts: list[Act]
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        self.open.add(writer)
        try:
            while not writer.is_closing():
                self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
                act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
                await act(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has ended it
        finally:
            self.open.discard(writer)
            writer.close()

    def url(self, secure: bool = False) -> str:
        """What to ask."""
        return f"http{'s' if secure else ''}://127.0.0.1:{self.port}/up"

    def close_idle(self) -> None:
        """End every connection, as a server does that has waited too long for the next request."""
        for writer in list(self.open):
            writer.close()


async def until(true: Callable[[], bool]) -> None:
    """Poll, with a deadline."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def serving(*acts: Act, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server that listens, with these acts."""
    made = Server(list(acts))
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listener.close()
        made.close_idle()
        await until(lambda: not made.open)
        await listener.wait_closed()
