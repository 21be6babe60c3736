"""The transfer index: how a release's files are cut into chunks for transport.

It is versioned and apart from the release's identity, so that a better chunker renames nothing. A file that is not
listed is one chunk, its own content. The node and the deployer number the chunks of a release alike (`chunks`), so
that what is missing travels as a bitmap.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from mikoshi.core.frames import MAX_CHUNK
from mikoshi.core.release import Manifest, is_digest

INDEX_VERSION = 1


class MalformedIndex(ValueError):
    """The bytes are not a transfer index of a known version, or it does not fit its manifest."""


@dataclass(frozen=True)
class Chunk:
    """A piece of content: SHA-256 in hex and size in bytes."""

    digest: str
    size: int


@dataclass(frozen=True)
class TransferIndex:
    """Files' digests → their chunks in order, for files of more than one chunk."""

    files: dict[str, tuple[Chunk, ...]]

    def chunks_of(self, digest: str, size: int) -> tuple[Chunk, ...]:
        """The chunks of the file with this content, in order; an empty file has none."""
        if size == 0:
            return ()
        return self.files.get(digest) or (Chunk(digest, size),)

    @cached_property
    def encoded(self) -> bytes:
        """The index as bytes (JSON, sorted), made once."""
        files = {digest: [[c.digest, c.size] for c in parts] for digest, parts in sorted(self.files.items())}
        return json.dumps({"version": INDEX_VERSION, "files": files}, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Place:
    """Where a chunk stands: a file's digest, an offset in bytes, and the chunk."""

    file: str
    offset: int
    chunk: Chunk


def places(release: Manifest, index: TransferIndex) -> Iterator[Place]:
    """Every chunk of every distinct file content, in the manifest's order."""
    seen = set()
    for entry in release.files():
        if entry.digest in seen:
            continue
        seen.add(entry.digest)
        offset = 0
        for chunk in index.chunks_of(entry.digest, entry.size):
            yield Place(entry.digest, offset, chunk)
            offset += chunk.size


def chunks(release: Manifest, index: TransferIndex) -> tuple[Chunk, ...]:
    """The distinct chunks of a release; a chunk's position here is its number on the wire."""
    distinct: dict[str, Chunk] = {}
    for place in places(release, index):
        distinct.setdefault(place.chunk.digest, place.chunk)
    return tuple(distinct.values())


def encode(index: TransferIndex) -> bytes:
    """The index as bytes (JSON, sorted)."""
    return index.encoded


def decode(data: bytes) -> TransferIndex:
    """The index in `data`; raises MalformedIndex."""
    try:
        raw = json.loads(data)
        version = raw["version"]
        files = {
            str(digest): tuple(_chunk(str(part), int(size)) for part, size in parts)
            for digest, parts in (raw["files"].items() if version == INDEX_VERSION else ())
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedIndex(f"not a transfer index: {error}") from error
    if version != INDEX_VERSION:
        raise MalformedIndex(f"transfer index of unknown version {version!r}")
    return TransferIndex(files)


def _chunk(digest: str, size: int) -> Chunk:
    if not is_digest(digest) or size <= 0:
        raise ValueError("a chunk has no proper digest or size")
    return Chunk(digest, size)


def check(release: Manifest, index: TransferIndex) -> None:
    """Raise MalformedIndex unless every file's chunks add up to its size and each can travel (`MAX_CHUNK`)."""
    for entry in release.files():
        parts = index.chunks_of(entry.digest, entry.size)
        if sum(part.size for part in parts) != entry.size:
            raise MalformedIndex(f"chunks of {entry.path!r} do not add up to its size")
        if any(part.size > MAX_CHUNK for part in parts):
            raise MalformedIndex(f"{entry.path!r} has a chunk of more than {MAX_CHUNK} bytes")


def digest(data: bytes) -> str:
    """The name of this content as a chunk: its SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def bitmap(numbers: list[int], count: int) -> bytes:
    """`numbers` below `count` as bits, lowest first."""
    bits = bytearray((count + 7) // 8)
    for number in numbers:
        bits[number >> 3] |= 1 << (number & 7)
    return bytes(bits)


def numbers(bits: bytes) -> list[int]:
    """The inverse of `bitmap`, ascending."""
    return [index * 8 + bit for index, byte in enumerate(bits) if byte for bit in range(8) if byte >> bit & 1]
