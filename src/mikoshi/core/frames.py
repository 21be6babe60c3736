"""Frames: how messages and content share one pair of byte streams. Sans-IO: bytes in, frames out.

A frame is one byte of kind, four bytes of length (big-endian) and the payload. `J` is a message (JSON), `B` a blob
that belongs to the message before it, `C` a batch of chunks (see `pack_chunks`). Wire compression is zlib.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

MESSAGE, BLOB, CHUNKS = b"J", b"B", b"C"
MAX_FRAME = 64 << 20
MAX_CHUNK = 4 << 20
BATCH_SIZE = 1 << 20
_HEAD = struct.Struct(">cI")
_ROW = struct.Struct(">II")


class MalformedFrame(ValueError):
    """The stream does not hold frames: another program wrote to it, or the sides' versions differ."""


@dataclass(frozen=True)
class Frame:
    """One frame: its kind and its payload."""

    kind: bytes
    payload: bytes

    def encode(self) -> bytes:
        """The frame as it stands on the wire."""
        return _HEAD.pack(self.kind, len(self.payload)) + self.payload


def message_frame(message: dict[str, Any]) -> Frame:
    """A message as a frame."""
    return Frame(MESSAGE, json.dumps(message, separators=(",", ":")).encode())


def message_of(frame: Frame) -> dict[str, Any]:
    """The message in a `J` frame; raises MalformedFrame."""
    try:
        value = json.loads(frame.payload)
    except (ValueError, RecursionError) as error:
        raise MalformedFrame(f"a message is not JSON: {frame.payload[:80]!r}") from error
    if not isinstance(value, dict):
        raise MalformedFrame("a message is not an object")
    return value


def blob_frame(content: bytes) -> Frame:
    """A blob, compressed where that makes it smaller."""
    return Frame(BLOB, _deflated(content))


def blob_of(frame: Frame) -> bytes:
    """The content of a `B` frame."""
    return _inflated(frame.payload, MAX_FRAME * 4)


def pack_chunks(batch: Sequence[tuple[int, bytes]]) -> Frame:
    """A `C` frame that carries numbered chunks (see core.transfer.chunks), compressed together."""
    head = struct.pack(">I", len(batch)) + b"".join(_ROW.pack(number, len(data)) for number, data in batch)
    return Frame(CHUNKS, _deflated(head + b"".join(data for _, data in batch)))


def unpack_chunks(frame: Frame) -> list[tuple[int, bytes]]:
    """The inverse of `pack_chunks`; raises MalformedFrame."""
    data = _inflated(frame.payload, 2 * MAX_CHUNK + BATCH_SIZE)
    try:
        (count,) = struct.unpack_from(">I", data)
        rows = [_ROW.unpack_from(data, 4 + index * _ROW.size) for index in range(count)]
    except struct.error as error:
        raise MalformedFrame("a batch of chunks is cut short") from error
    at = 4 + count * _ROW.size
    batch = []
    for number, size in rows:
        batch.append((number, data[at : at + size]))
        at += size
    if at != len(data):
        raise MalformedFrame("a batch of chunks has another length than it says")
    return batch


def _deflated(content: bytes) -> bytes:
    """One byte that says how (z or r), then the content; raw where compression saves less than a tenth."""
    sample = content[: 64 << 10]
    if len(zlib.compress(sample, 1)) > 0.9 * len(sample):
        return b"r" + content
    return b"z" + zlib.compress(content, 1)


def _inflated(payload: bytes, limit: int) -> bytes:
    if payload[:1] == b"r":
        return payload[1:]
    if payload[:1] != b"z":
        raise MalformedFrame("content is neither compressed nor raw")
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(payload[1:], limit)
    except zlib.error as error:
        raise MalformedFrame("compressed content is damaged") from error
    if not inflater.eof:
        raise MalformedFrame("compressed content is cut short or larger than allowed")
    return content


class FrameReader:
    """Turns bytes as they arrive into frames. Feed it; iterate what `feed` returns."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete with `data`; raises MalformedFrame for an impossible head."""
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._buffer)
            if kind not in (MESSAGE, BLOB, CHUNKS) or length > MAX_FRAME:
                raise MalformedFrame(f"not a frame: {bytes(self._buffer[:80])!r}")
            end = _HEAD.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(memoryview(self._buffer)[_HEAD.size : end])
            del self._buffer[:end]
            yield Frame(kind, payload)

    def pending(self) -> bytes:
        """What has arrived of an incomplete frame."""
        return bytes(self._buffer)
