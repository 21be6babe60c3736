"""Puts distance between clients and a server: what either sends reaches the other some time later, its end included.

On loopback a request is on its way for less than a millisecond, so that a server which closes kept connections hardly
ever meets one. Real clients are tens of milliseconds away.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_BLOCK = 65536


@asynccontextmanager
async def relay(url: str, delay: float) -> AsyncIterator[str]:
    """The URL by which `url` is `delay` seconds away, in each direction."""
    parts = urlsplit(url)
    open_: set[asyncio.Task[None]] = set()

    async def accept(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        open_.add(task)
        try:
            await _connection(reader, writer, parts.hostname or "127.0.0.1", parts.port or 80, delay)
        except asyncio.CancelledError:
            pass  # the block has ended
        finally:
            reset(writer)
            open_.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        ending = list(open_)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending)


async def _connection(reader: StreamReader, writer: StreamWriter, host: str, port: int, delay: float) -> None:
    try:
        far_reader, far_writer = await asyncio.open_connection(host, port)
    except OSError:
        return  # the client sees its connection reset
    try:
        await asyncio.gather(_carry(reader, far_writer, delay), _carry(far_reader, writer, delay))
        await asyncio.gather(writer.drain(), far_writer.drain())
        writer.close()
        await writer.wait_closed()
    except ConnectionError:
        pass
    finally:
        far_writer.transport.abort()


async def _carry(source: StreamReader, target: StreamWriter, delay: float) -> None:
    """Copy until the source ends, each block `delay` seconds after it came. A reset is carried as one."""
    due: asyncio.Queue[tuple[float, bytes | None]] = asyncio.Queue()
    delivering = asyncio.create_task(_deliver(due, target))
    try:
        while block := await source.read(_BLOCK):
            due.put_nowait((time.monotonic() + delay, block))
        due.put_nowait((time.monotonic() + delay, b""))
    except ConnectionError:
        due.put_nowait((time.monotonic() + delay, None))
    try:
        await delivering
    finally:
        delivering.cancel()


async def _deliver(due: asyncio.Queue[tuple[float, bytes | None]], target: StreamWriter) -> None:
    """Write what is due; b"" is the end, None a reset."""
    while True:
        when, block = await due.get()
        await asyncio.sleep(when - time.monotonic())
        if block is None:
            reset(target)
            return
        try:
            if not block:
                target.write_eof()
                return
            target.write(block)
            await target.drain()
        except (ConnectionError, RuntimeError):
            pass  # the other side is gone: the rest is read and dropped, and its own end is carried back
        except OSError:
            return


def reset(writer: StreamWriter) -> None:
    """Close a connection so that the other side sees it reset."""
    found = writer.get_extra_info("socket")
    if found.fileno() >= 0:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
