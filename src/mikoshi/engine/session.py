"""One conversation with one node engine: requests, replies, events and content over a channel.

Requests to a node go one after the other; only `Renew` overtakes. Every await is a round trip and is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mikoshi.core import frames
from mikoshi.core.errors import ConnectionLost, InfrastructureError, MikoshiError, ProtocolMismatch, from_wire
from mikoshi.core.messages import Output, Request, StepStarted, event_from_json, to_message
from mikoshi.ports.transport import Channel

OnEvent = Callable[[Output | StepStarted], None]
_CONTENT_QUEUE = 4


@dataclass(frozen=True)
class Reply:
    """What a node answered: the fields, and the blobs that came with them."""

    fields: Mapping[str, Any]
    blobs: tuple[bytes, ...] = ()


class NodeError(Exception):
    """A node's refusal on its way to the caller: the typed error, and whether the node runs what it ran before."""

    def __init__(self, error: MikoshiError, *, restored: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.restored = restored


class _Content:
    """Frames on their way to their reader: few at a time, so that a slow reader slows the node down instead.

    Once it is over nobody waits any more, neither for room nor for frames.
    """

    def __init__(self) -> None:
        self._frames: asyncio.Queue[frames.Frame | None] = asyncio.Queue(_CONTENT_QUEUE)
        self._over = False

    async def put(self, frame: frames.Frame | None) -> None:
        """Hand a frame on, None after the last; returns when there is room for it."""
        if not self._over:
            await self._frames.put(frame)

    async def get(self) -> frames.Frame | None:
        """The next frame, None at the end."""
        return await self._frames.get()

    def end(self) -> None:
        """Nothing more is wanted, or will come: what was not read by now is dropped."""
        self._over = True
        while not self._frames.empty():
            self._frames.get_nowait()
        self._frames.put_nowait(None)


@dataclass
class _Waiting:
    future: asyncio.Future[Reply]
    fields: Mapping[str, Any] = field(default_factory=dict)
    blobs: list[bytes] = field(default_factory=list)
    expected: int = 0
    content: _Content | None = None


class NodeSession:
    """A conversation. Use `request`; `close` ends it, which makes the node give its lease back."""

    def __init__(self, name: str, channel: Channel, on_event: OnEvent | None = None) -> None:
        self.name = name
        self.round_trips = 0
        self._channel = channel
        self._on_event = on_event or _ignore
        self._waiting: dict[int, _Waiting] = {}
        self._receiving: _Waiting | None = None
        self._next_id = 0
        self._sending = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._lost: MikoshiError | None = None
        self._reader = asyncio.create_task(self._read())

    @property
    def channel(self) -> Channel:
        """The channel, for its traffic counters."""
        return self._channel

    @property
    def lost(self) -> MikoshiError | None:
        """Why the conversation ended, or None while it goes on."""
        return self._lost

    async def request(self, request: Request, *blobs: bytes, urgent: bool = False) -> Reply:
        """Ask and await the answer. `urgent` does not wait for the request under way (Renew only).

        Raises NodeError with what the node refused, or an InfrastructureError if the conversation broke.
        """
        if urgent:
            return await self._ask(request, blobs, None)
        async with self._turn:
            return await self._ask(request, blobs, None)

    async def fetch(self, request: Request, *blobs: bytes) -> AsyncGenerator[frames.Frame, None]:
        """Ask for content: yields the `C` frames that come before the answer. Raises as `request` does.

        No other request is sent until this is read to its end or closed.
        """
        async with self._turn:
            content = _Content()
            asking = asyncio.create_task(self._ask(request, blobs, content))
            try:
                while (frame := await content.get()) is not None:
                    yield frame
                await asking
            finally:
                asking.cancel()
                content.end()
                with contextlib.suppress(asyncio.CancelledError, MikoshiError, NodeError):
                    await asking

    async def send_content(self, encoded: bytes) -> None:
        """Send an encoded `C` frame; returns when the channel can take more. It has no answer of its own."""
        if self._lost is not None:
            raise self._lost
        async with self._sending:
            await self._write(encoded)

    def give_up(self, error: MikoshiError) -> None:
        """End the conversation from this side: whoever waits for an answer gets `error`."""
        self._break(error.on(self.name))

    async def close(self) -> None:
        """End the conversation; never raises."""
        self._reader.cancel()
        await self._channel.close()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader
        self._break(ConnectionLost("the session's end", "").on(self.name))

    async def _ask(self, request: Request, blobs: tuple[bytes, ...], content: _Content | None) -> Reply:
        if self._lost is not None:
            raise self._lost
        self._next_id += 1
        number = self._next_id
        message = {**to_message(request), "id": number, "blobs": len(blobs)}
        waiting = _Waiting(asyncio.get_running_loop().create_future(), content=content)
        self._waiting[number] = waiting
        self.round_trips += 1
        packed = await asyncio.to_thread(_encode_all, message, blobs) if blobs else _encode_all(message, blobs)
        try:
            async with self._sending:
                await self._write(packed)
            return await waiting.future
        except MikoshiError as error:
            raise error.on(self.name) from None
        finally:
            self._waiting.pop(number, None)

    async def _write(self, data: bytes) -> None:
        try:
            await self._channel.write(data)
        except InfrastructureError as error:
            self._break(error.on(self.name))
            raise

    async def _read(self) -> None:
        reader = frames.FrameReader()
        try:
            while data := await self._channel.read():
                for frame in reader.feed(data):
                    await self._take(frame)
            words = self._channel.last_words() or reader.pending().decode("utf-8", "replace")
            self._break(ConnectionLost("a request", words).on(self.name))
        except InfrastructureError as error:
            self._break(error.on(self.name))
        except (frames.MalformedFrame, ProtocolMismatch) as error:
            self._break(ProtocolMismatch(str(error)).on(self.name))

    async def _take(self, frame: frames.Frame) -> None:
        if frame.kind == frames.BLOB and self._receiving is not None:
            self._receiving.blobs.append(await asyncio.to_thread(frames.blob_of, frame))
            self._finish(self._receiving)
        elif frame.kind == frames.CHUNKS:
            for waiting in list(self._waiting.values()):
                if waiting.content is not None:
                    await waiting.content.put(frame)
        else:
            await self._take_message(frames.message_of(frame))

    async def _take_message(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self._on_event(event_from_json(message["event"]))
            return
        number = message.get("id", 0)
        waiting = self._waiting.get(number)
        if waiting is None:
            if "error" in message and not number:
                self._break(from_wire(message["error"]).on(self.name))
            return
        if waiting.content is not None:
            await waiting.content.put(None)
        if waiting.future.done():
            return
        if "error" in message:
            error = from_wire(message["error"]).on(self.name)
            waiting.future.set_exception(NodeError(error, restored=bool(message.get("restored", True))))
            return
        waiting.fields = message.get("ok", {})
        waiting.expected = int(message.get("blobs", 0))
        self._finish(waiting)

    def _finish(self, waiting: _Waiting) -> None:
        """Answer, or go on receiving the blobs that belong to the answer."""
        complete = len(waiting.blobs) == waiting.expected
        self._receiving = None if complete else waiting
        if complete and not waiting.future.done():
            waiting.future.set_result(Reply(waiting.fields, tuple(waiting.blobs)))

    def _break(self, error: MikoshiError) -> None:
        if self._lost is None:
            self._lost = error
        for waiting in self._waiting.values():
            if waiting.content is not None:
                waiting.content.end()
            if not waiting.future.done():
                waiting.future.set_exception(self._lost)
                waiting.future.exception()


def _ignore(_event: Output | StepStarted) -> None:
    """What a caller without interest in a node's events does with them."""


def _encode_all(message: dict[str, Any], blobs: tuple[bytes, ...]) -> bytes:
    parts = [frames.message_frame(message).encode(), *(frames.blob_frame(blob).encode() for blob in blobs)]
    return b"".join(parts)
