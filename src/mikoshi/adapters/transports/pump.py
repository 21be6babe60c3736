"""Moves the streams of one running command between it and the caller, with no more than a buffer in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from mikoshi.core.errors import ConnectionLost
from mikoshi.ports.remote import Sink


class Running(Protocol):
    """A command that runs, seen from its streams."""

    @property
    def complaints(self) -> asyncio.Future[None]:
        """Done when the error output has ended; carries what its sink raised."""
        ...

    async def write(self, data: bytes) -> None:
        """Send to its input. Raises ConnectionLost."""
        ...

    async def end_input(self) -> None:
        """Close its input."""
        ...

    async def receive(self) -> bytes:
        """The next of its output, b"" at the end."""
        ...

    async def wait(self) -> int:
        """How it ended (negative: by that signal). Raises ConnectionLost or HostTimeout."""
        ...


async def pump(running: Running, stdin: AsyncIterator[bytes] | bytes, stdout: Sink | None) -> int:
    """Feed a command and drain it to its end; how it ended. What `stdin` or a sink raises is raised here."""
    draining = asyncio.create_task(_drain(running, stdout))
    feeding = asyncio.create_task(_feed(running, stdin))
    watched: set[asyncio.Future[Any]] = {draining, feeding, running.complaints}
    try:
        while not draining.done():
            done, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        status = await running.wait()
        if running.complaints.done():
            running.complaints.result()
        return status
    finally:
        for task in (draining, feeding):
            task.cancel()
        await asyncio.wait([draining, feeding])


async def _feed(running: Running, stdin: AsyncIterator[bytes] | bytes) -> None:
    try:
        if isinstance(stdin, bytes):
            if stdin:
                await running.write(stdin)
        else:
            async for data in stdin:
                await running.write(data)
        await running.end_input()
    except ConnectionLost:
        pass  # the command ended before it had read everything, or `wait` will say what happened


async def _drain(running: Running, stdout: Sink | None) -> None:
    while data := await running.receive():
        if stdout is not None:
            stdout(data)
