"""Finds content that the node holds already: the kept trees are the index, there is no other store.

Whatever is offered was hashed by this process. A file that is not what its manifest says is never offered; it is
noted in `damaged`, to be replaced once good content is there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

from mikoshi.core.errors import NotStaged
from mikoshi.core.release import Entry
from mikoshi.node.deployments import Deployments
from mikoshi.node.fingerprints import Fingerprints
from mikoshi.node.layout import by_content, sealed_mode
from mikoshi.node.verify import matches

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True)
class Source:
    """A file with good content: where, its mode, and whether the engine's user owns it. `status` is from before."""

    path: str
    mode: int
    status: os.stat_result

    @property
    def own(self) -> bool:
        """Whether the file belongs to the engine's user; a link to another's file would stay another's."""
        return self.status.st_uid == os.geteuid()


class Sources:
    """Good files of the node by content, for the staging of one deployment."""

    def __init__(self, deployments: Deployments, own: int, fingerprints: Fingerprints) -> None:
        self._deployments, self._fingerprints = deployments, fingerprints
        self._kept = deployments.sources(own)
        self._mentioned: dict[int, Container[str]] = {}
        self._read: dict[int, dict[str, list[Entry]]] = {}
        self._chunks: dict[str, tuple[str, int]] | None = None
        self._trees: dict[int, str] = {}
        self.damaged: set[str] = set()

    def find(self, digest: str, mode: int) -> Source | None:
        """A good file with this content, one with `mode` in a finished tree before any other; None for none."""
        other = None
        for source in self._candidates(digest):
            if source.mode == mode and source.own:
                return source
            other = other or source
        return other

    def _candidates(self, digest: str) -> Iterator[Source]:
        for seq, contents in self._listings(digest):
            for entry in contents.get(digest, ()):
                found = self._good(seq, entry)
                if found is not None:
                    yield found

    def _listings(self, digest: str = "") -> Iterator[tuple[int, dict[str, list[Entry]]]]:
        """Files by content of each deployment; with a digest, only of those whose manifest mentions it."""
        for seq in self._kept:
            if seq not in self._read:
                if digest not in self._mentioned_in(seq):
                    continue
                self._read[seq] = self._contents(seq)
            yield seq, self._read[seq]

    def _contents(self, seq: int) -> dict[str, list[Entry]]:
        try:
            return by_content(self._deployments.manifest(seq).files())
        except NotStaged:
            return {}

    def _mentioned_in(self, seq: int) -> Container[str]:
        """What looks like a digest in a manifest: a list of its entries costs ten times as much to make."""
        if seq not in self._mentioned:
            try:
                data = self._deployments.manifest_bytes(seq)
            except NotStaged:
                data = b""
            self._mentioned[seq] = {"", *map(bytes.decode, _DIGEST.findall(data))} if data else ()
        return self._mentioned[seq]

    def _tree(self, seq: int) -> str:
        if seq not in self._trees:
            self._trees[seq] = self._deployments.paths(seq).tree
        return self._trees[seq]

    def _good(self, seq: int, entry: Entry) -> Source | None:
        path = f"{self._tree(seq)}/{entry.path}"
        try:
            status = os.lstat(path)
            if matches(status, entry) and self._fingerprints.read(path, status) == entry.digest:
                return Source(path, sealed_mode(entry), status)
        except OSError:
            pass  # gone or unreadable: as good as edited, and noted so below
        stored = self._deployments.load(seq)
        if stored is not None and stored.staged:
            self.damaged.add(entry.digest)
        return None

    def chunk(self, digest: str, size: int) -> bytes | None:
        """The chunk with this digest out of a file that holds it, hashed; None for none."""
        import hashlib

        if self._chunks is None:
            self._chunks = self._index_chunks()
        place = self._chunks.get(digest)
        if place is None:
            return None
        try:
            fd = os.open(place[0], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            data = os.pread(fd, size, place[1])
        finally:
            os.close(fd)
        return data if hashlib.sha256(data).hexdigest() == digest else None

    def _index_chunks(self) -> dict[str, tuple[str, int]]:
        found: dict[str, tuple[str, int]] = {}
        for seq, contents in self._listings():
            tree, index = self._deployments.paths(seq).tree, self._deployments.index(seq)
            for digest, entries in contents.items():
                offset, path = 0, os.path.join(tree, entries[0].path)
                for chunk in index.chunks_of(digest, entries[0].size):
                    found.setdefault(chunk.digest, (path, offset))
                    offset += chunk.size
        return found
