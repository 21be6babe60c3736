"""A node engine made of a script, for tests of the conversation itself: no process, no file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from mikoshi.core import frames
from mikoshi.core.errors import ConnectionLost
from mikoshi.ports.transport import Traffic

Answer = Callable[[dict[str, Any], list[bytes]], "list[frames.Frame] | None"]


class ScriptedChannel:
    """A Channel whose other side answers each request by `answer`; None ends the stream without a word."""

    def __init__(self, answer: Answer, words: str = "") -> None:
        self.traffic = Traffic(connects=1)
        self.requests: list[dict[str, Any]] = []
        self._answer = answer
        self._words = words
        self._reader = frames.FrameReader()
        self._out: asyncio.Queue[bytes] = asyncio.Queue()
        self._open: dict[str, Any] | None = None
        self._blobs: list[bytes] = []
        self.broken = False
        self.asked = asyncio.Event()

    async def write(self, data: bytes) -> None:
        """Take requests with their blobs, and answer those that are complete."""
        if self.broken:
            raise ConnectionLost("sending", self._words)
        for frame in self._reader.feed(data):
            if frame.kind == frames.MESSAGE:
                self._open, self._blobs = frames.message_of(frame), []
            elif frame.kind == frames.BLOB:
                self._blobs.append(frames.blob_of(frame))
            if self._open is not None and len(self._blobs) == self._open["blobs"]:
                request, self._open = self._open, None
                self.requests.append(request)
                self.asked.set()
                self.say(self._answer(request, self._blobs))

    def say(self, answer: list[frames.Frame] | None) -> None:
        """Send frames, which may be none for now; None ends the stream."""
        if answer is None:
            self._out.put_nowait(b"")
        elif answer:
            self._out.put_nowait(b"".join(frame.encode() for frame in answer))

    def say_bytes(self, data: bytes) -> None:
        """Send what is no frame."""
        self._out.put_nowait(data)

    async def read(self) -> bytes:
        """What was said."""
        return await self._out.get()

    def last_words(self) -> str:
        """What the engine complained."""
        return self._words

    async def close(self) -> None:
        """Nothing is open."""


def ok(request: dict[str, Any], *blobs: bytes, **fields: Any) -> list[frames.Frame]:
    """The answer of success."""
    message = {"id": request["id"], "ok": fields, "blobs": len(blobs)}
    return [frames.message_frame(message), *map(frames.blob_frame, blobs)]
