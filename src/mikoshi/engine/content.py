"""Content on its way to nodes: chunks are read once and compressed once, however many nodes lack them.

A spool holds the compressed batches in a temporary file on disk, so that memory does not grow with nodes or files.
What is not kept here is fetched from a node that holds the release.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from mikoshi.core import frames, transfer
from mikoshi.core.errors import ContentCorrupt, ContentMissing
from mikoshi.core.messages import Describe, Fetch
from mikoshi.core.release import Manifest, decode, release_id
from mikoshi.engine.fleet import Fleet


class ChunkReader(Protocol):
    """Where chunks come from. Blocking: called in a thread."""

    def read(self, place: transfer.Place) -> bytes:
        """The chunk's bytes, verified. Raises ContentMissing."""
        ...


@dataclass(frozen=True)
class Content:
    """A release ready to be sent: what it is, how it is cut, and where its chunks come from."""

    release: str
    manifest: Manifest
    index: transfer.TransferIndex
    reader: ChunkReader
    commit: str = ""

    def places(self) -> tuple[transfer.Place, ...]:
        """One place of each distinct chunk, by the chunk's number on the wire."""
        first: dict[str, transfer.Place] = {}
        for place in transfer.places(self.manifest, self.index):
            first.setdefault(place.chunk.digest, place)
        return tuple(first.values())


@dataclass
class Spool:
    """The compressed batches for one set of missing chunks, made as the fastest node asks for them."""

    batches: list[list[tuple[int, transfer.Place]]]
    reader: ChunkReader
    file: BinaryIO
    spans: list[tuple[int, int, int]] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def frames(self) -> AsyncIterator[tuple[bytes, int]]:
        """Each batch as an encoded `C` frame, with the number of content bytes in it."""
        for number in range(len(self.batches)):
            async with self.lock:
                if number == len(self.spans):
                    self.spans.append(await asyncio.to_thread(self._make, self.batches[number]))
                offset, length, size = self.spans[number]
                encoded = await asyncio.to_thread(self._read, offset, length)
            yield encoded, size

    def _make(self, batch: list[tuple[int, transfer.Place]]) -> tuple[int, int, int]:
        chunks = [(number, self.reader.read(place)) for number, place in batch]
        encoded = frames.pack_chunks(chunks).encode()
        self.file.seek(0, 2)
        offset = self.file.tell()
        self.file.write(encoded)
        return offset, len(encoded), sum(len(data) for _, data in chunks)

    def _read(self, offset: int, length: int) -> bytes:
        self.file.seek(offset)
        return self.file.read(length)


class Spools:
    """Spools by the set of missing chunks, so that nodes in equal need share one. A context manager."""

    def __init__(self, content: Content, directory: Path) -> None:
        self._content = content
        self._places = content.places()
        self._directory = directory
        self._spools: dict[bytes, Spool] = {}
        self._files = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def spool(self, missing: bytes) -> Spool:
        """The spool for the chunks in the bitmap `missing`."""
        if missing not in self._spools:
            file = scratch_file(self._directory, self._files)
            batches = in_batches([(number, self._places[number]) for number in transfer.numbers(missing)])
            self._spools[missing] = Spool(batches, self._content.reader, file)
        return self._spools[missing]


def scratch_file(directory: Path, files: contextlib.ExitStack) -> BinaryIO:
    """A file without a name, on disk below `directory`, that lives as long as `files`."""
    directory.mkdir(parents=True, exist_ok=True)
    return files.enter_context(tempfile.TemporaryFile(dir=directory))


def in_batches(
    places: Sequence[tuple[int, transfer.Place]], size: int = frames.BATCH_SIZE
) -> list[list[tuple[int, transfer.Place]]]:
    """Numbered chunks in groups of about `size` bytes."""
    batches: list[list[tuple[int, transfer.Place]]] = []
    room = 0
    for number, place in places:
        if not batches or room < place.chunk.size:
            batches.append([])
            room = size
        batches[-1].append((number, place))
        room -= place.chunk.size
    return batches


# ── from a node ────────────────────────────────────────────────────────────────────────────────────────────────


class FetchedChunks:
    """Chunks that were fetched from a node, in a temporary file."""

    def __init__(self, file: BinaryIO, release: str) -> None:
        self._file = file
        self._release = release
        self._spans: dict[str, tuple[int, int]] = {}

    def add(self, chunk: transfer.Chunk, data: bytes) -> None:
        """Keep a chunk."""
        self._file.seek(0, 2)
        self._spans[chunk.digest] = (self._file.tell(), len(data))
        self._file.write(data)

    def read(self, place: transfer.Place) -> bytes:
        """The chunk's bytes; raises ContentMissing if it was not fetched."""
        if place.chunk.digest not in self._spans:
            raise ContentMissing(self._release, [place.chunk.digest])
        offset, length = self._spans[place.chunk.digest]
        self._file.seek(offset)
        return self._file.read(length)


async def content_from_nodes(fleet: Fleet, release: str, files: contextlib.ExitStack, directory: Path) -> Content:
    """A release that is not kept here, fetched from the first node that holds it completely and unharmed.

    Raises ContentMissing if no node does.
    """
    for node, view in fleet.views.items():
        if any(kept.release == release and kept.staged for kept in view.kept):
            with contextlib.suppress(ContentMissing, ContentCorrupt):
                return await _content_from(fleet, node, release, files, directory)
    raise ContentMissing(release, [])


async def _content_from(fleet: Fleet, node: str, release: str, files: contextlib.ExitStack, directory: Path) -> Content:
    reply = await fleet.ask(node, Describe(release))
    encoded, index = reply.blobs[0], transfer.decode(reply.blobs[1])
    if release_id(encoded) != release:
        raise ContentCorrupt("manifest", release, release_id(encoded)).on(node)
    manifest = decode(encoded)
    fetched = FetchedChunks(scratch_file(directory, files), release)
    chunks = transfer.chunks(manifest, index)
    wanted = transfer.bitmap(list(range(len(chunks))), len(chunks))
    async with contextlib.aclosing(fleet.sessions[node].fetch(Fetch(release), wanted)) as coming:
        async for frame in coming:
            for number, data in await asyncio.to_thread(frames.unpack_chunks, frame):
                await asyncio.to_thread(_keep_verified, fetched, chunks[number], data, node)
    return Content(release, manifest, index, fetched)


def _keep_verified(fetched: FetchedChunks, chunk: transfer.Chunk, data: bytes, node: str) -> None:
    got = transfer.digest(data)
    if got != chunk.digest:
        raise ContentCorrupt("chunk", chunk.digest, got).on(node)
    fetched.add(chunk, data)
