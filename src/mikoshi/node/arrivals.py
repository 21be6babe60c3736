"""Content on its way in: chunks as they arrive, checked one by one and written where they belong.

Memory holds one batch of chunks, whatever the size of the files. What arrived stays in `partial` over a crash and is
hashed again before it counts.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field

from mikoshi.core.errors import ContentCorrupt, ContentMissing, ProtocolMismatch
from mikoshi.core.frames import MAX_CHUNK
from mikoshi.core.release import Entry, Manifest
from mikoshi.core.transfer import Chunk, TransferIndex, places
from mikoshi.node.files import Files
from mikoshi.node.fingerprints import digest_of
from mikoshi.node.layout import by_mode
from mikoshi.node.sources import Sources
from mikoshi.node.writing import TreeWriter


@dataclass
class Assembly:
    """A file that is being put together: the entries that will have it, and the chunks it still lacks."""

    entries: list[Entry]
    lacking: set[str] = field(default_factory=set)
    pieces: int = 0

    @property
    def size(self) -> int:
        """Bytes when complete."""
        return self.entries[0].size


class Arrivals:
    """The contents that one deployment lacks, by digest, and the numbers of the chunks that bring them."""

    def __init__(self, partial: str, files: Files, writer: TreeWriter) -> None:
        self._partial, self._files, self._writer = partial, files, writer
        self._assemblies: dict[str, Assembly] = {}
        self._awaited: dict[int, tuple[Chunk, list[tuple[str, int]]]] = {}
        self.received = 0

    def expect(self, release: Manifest, index: TransferIndex, contents: dict[str, list[Entry]]) -> None:
        """Await every chunk of `contents` (digest → entries). Chunks get their numbers on the wire."""
        self._assemblies = {digest: Assembly(entries) for digest, entries in contents.items()}
        numbers: dict[str, int] = {}
        for place in places(release, index):
            number = numbers.setdefault(place.chunk.digest, len(numbers))
            assembly = self._assemblies.get(place.file)
            if assembly is not None:
                assembly.lacking.add(place.chunk.digest)
                assembly.pieces += 1
                if place.chunk.size > MAX_CHUNK or (
                    place.chunk.size == assembly.size and place.chunk.digest != place.file
                ):
                    raise ProtocolMismatch(f"the index cuts {assembly.entries[0].path!r} into impossible chunks")
                self._awaited.setdefault(number, (place.chunk, []))[1].append((place.file, place.offset))
        self._chunk_count = len(numbers)

    def prepare(self, sources: Sources) -> None:
        """Use what an interrupted attempt left and what held files have; make the empty files."""
        self._files.make_directories(self._partial)
        wanted = set(self._assemblies)
        for name in set(os.listdir(self._partial)) - wanted:
            self._files.unlink(os.path.join(self._partial, name))
        resumed = {digest for digest in wanted if self._reuse(digest)}
        for number in list(self._awaited):
            chunk, spots = self._awaited[number]
            if all(self._assemblies[digest].pieces == 1 for digest, _ in spots):
                continue
            data = self._arrived_before(chunk, spots, resumed) or sources.chunk(chunk.digest, chunk.size)
            if data is not None:
                self._take(number, data)
        for digest, assembly in list(self._assemblies.items()):
            if assembly.size == 0:
                self._write_whole(digest, b"")

    def missing(self) -> tuple[list[int], int, int]:
        """The numbers of the awaited chunks, their bytes together, and how many chunks the release has."""
        size = sum(chunk.size for chunk, _ in self._awaited.values())
        return sorted(self._awaited), size, self._chunk_count

    def accept(self, number: int, data: bytes) -> None:
        """A chunk from the deployer. Raises ContentCorrupt, and ProtocolMismatch for one nobody awaits."""
        if number not in self._awaited:
            raise ProtocolMismatch(f"chunk {number} was not asked for")
        chunk, spots = self._awaited[number]
        got = hashlib.sha256(data).hexdigest()
        if got != chunk.digest or len(data) != chunk.size:
            raise ContentCorrupt(self._assemblies[spots[0][0]].entries[0].path, chunk.digest, got)
        self.received += len(data)
        self._take(number, data)

    def finish(self, release: str) -> None:
        """Put the large files into the tree. Raises ContentMissing and ContentCorrupt."""
        lacking = [assembly.entries[0].path for assembly in self._assemblies.values() if assembly.lacking]
        if lacking:
            raise ContentMissing(release, sorted(lacking)[:10])
        for digest, assembly in list(self._assemblies.items()):
            path = self._path(digest)
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                got = digest_of(fd)
            finally:
                os.close(fd)
            if got != digest:
                self._files.unlink(path)
                raise ContentCorrupt(assembly.entries[0].path, digest, got)
            self._place(digest, path)

    def _path(self, digest: str) -> str:
        return os.path.join(self._partial, digest)

    def _reuse(self, digest: str) -> bool:
        assembly, path = self._assemblies[digest], self._path(digest)
        if not os.path.lexists(path):
            return False
        if assembly.pieces > 1 and not os.path.islink(path) and os.path.getsize(path) == assembly.size:
            return True
        self._files.unlink(path)
        return False

    def _arrived_before(self, chunk: Chunk, spots: list[tuple[str, int]], resumed: set[str]) -> bytes | None:
        for digest, offset in spots:
            if digest not in resumed:
                continue
            with open(self._path(digest), "rb") as file:
                file.seek(offset)
                data = file.read(chunk.size)
            if hashlib.sha256(data).hexdigest() == chunk.digest:
                return data
        return None

    def _take(self, number: int, data: bytes) -> None:
        chunk, spots = self._awaited[number]
        for digest, offset in spots:
            assembly = self._assemblies.get(digest)
            if assembly is None:
                continue
            if assembly.pieces == 1:
                self._write_whole(digest, data)
            else:
                self._write_piece(digest, assembly, data, offset)
                assembly.lacking.discard(chunk.digest)
        del self._awaited[number]

    def _write_whole(self, digest: str, data: bytes) -> None:
        path = self._path(digest)
        file = self._files.create(path)
        try:
            self._files.write(file, data, 0)
        except OSError:
            self._files.unlink(path)
            raise
        finally:
            self._files.close(file)
        self._place(digest, path)

    def _write_piece(self, digest: str, assembly: Assembly, data: bytes, offset: int) -> None:
        path = self._path(digest)
        if os.path.lexists(path):
            file = self._files.open(path)
        else:
            file = self._files.create(path)
            self._files.truncate(file, assembly.size)
        try:
            self._files.write(file, data, offset)
        finally:
            self._files.close(file)

    def _place(self, digest: str, path: str) -> None:
        assembly, good = self._assemblies.pop(digest), ""
        for mode, entries in by_mode(assembly.entries):
            if good:
                self._writer.put_copy(entries[0].path, good, mode)
            else:
                self._writer.put_new(entries[0].path, path, mode)
                good = self._writer.path(entries[0].path)
            for entry in entries[1:]:
                self._writer.put_linked(entry.path, self._writer.path(entries[0].path))
