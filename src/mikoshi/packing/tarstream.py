"""Entries as a tar stream and back: how trees travel to and from a build host. Never holds a whole file in memory."""

from __future__ import annotations

import hashlib
import tarfile
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, BinaryIO

from mikoshi.core.errors import ContentMissing, LinkLeavesTree, NameNotUtf8, NotPackable
from mikoshi.core.release import FILE, LINK, Entry, directory_entry, file_entry, link_entry, link_leaves_tree
from mikoshi.packing.content import BLOCK
from mikoshi.packing.hashing import Hashed
from mikoshi.packing.objects import Objects
from mikoshi.packing.platform import HEADER_SIZE, may_be_native, platforms_of_header


def tar_of(objects: Objects, entries: Iterable[Entry]) -> Iterator[bytes]:
    """A tar archive of `entries`, in pieces. GNU's format: the one that every tar reads. Raises ContentMissing."""
    for entry in entries:
        info = tarfile.TarInfo(entry.path)
        info.mtime = int(time.time())
        if entry.kind == FILE:
            info.size, info.mode = entry.size, entry.mode
            yield info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
            yield from _content(objects, entry)
            if padding := bytes(-entry.size % tarfile.BLOCKSIZE):
                yield padding
        else:
            is_link = entry.kind == LINK
            info.type, info.mode = (tarfile.SYMTYPE, 0o777) if is_link else (tarfile.DIRTYPE, 0o755)
            info.linkname = entry.target
            yield info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")
    yield bytes(2 * tarfile.BLOCKSIZE)


def _content(objects: Objects, entry: Entry) -> Iterator[bytes]:
    hasher = hashlib.sha256()
    try:
        with objects.path(entry.digest).open("rb", buffering=0) as file:
            while block := file.read(min(entry.size + 1, BLOCK)):
                hasher.update(block)
                yield block
    except FileNotFoundError:
        raise ContentMissing("", [entry.path]) from None
    if hasher.hexdigest() != entry.digest:
        objects.remove([entry.digest])
        raise ContentMissing("", [entry.path])


def kept_from_tar(objects: Objects, archive: BinaryIO, wanted: Sequence[str]) -> Hashed:
    """Keep what a tar archive holds; all of it is at or below the `wanted` paths.

    The archive comes from another machine, so nothing in it is believed. Raises NotPackable, NameNotUtf8 and
    LinkLeavesTree.
    """
    taking = _Taking(objects, wanted)
    try:
        with tarfile.open(fileobj=archive, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
            for member in tar:
                taking.take(tar, member)
    except tarfile.TarError as error:
        raise NotPackable(", ".join(wanted), f"the build host sent no proper archive: {error}") from error
    return taking.result()


class _Taking:
    def __init__(self, objects: Objects, wanted: Sequence[str]) -> None:
        self._objects = objects
        self._wanted = wanted
        self._entries: dict[str, Entry] = {}
        self._directories = set[str]()
        self._platforms: dict[str, str] = {}
        self._size = 0

    def take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Keep one member."""
        path = self._plain(member.name)
        if member.isdir():
            self._directories.add(path)
        elif member.islnk():  # a second name of a file that came before
            first = self._entries.get(self._plain(member.linkname))
            if first is None or first.kind != FILE:
                raise NotPackable(path, "a hard link to something that is no output")
            self._keep(file_entry(path, first.mode, first.size, first.digest))
        elif member.issym():
            if link_leaves_tree(path, member.linkname):
                raise LinkLeavesTree(path, member.linkname)
            self._entries[path] = link_entry(path, _utf8(member.linkname))
        elif member.isreg():
            content: IO[bytes] | None = tar.extractfile(member)
            assert content is not None  # a regular member always has content
            digest, size = self._objects.add_stream(path, content)  # type: ignore[arg-type]  # IO[bytes] reads alike
            self._keep(file_entry(path, member.mode, size, digest))
        else:
            raise NotPackable(path, "not a file, directory or link")

    def result(self) -> Hashed:
        """All that was kept."""
        occupied = {path.rpartition("/")[0] for path in (*self._entries, *self._directories)}
        empty = [directory_entry(path) for path in sorted(self._directories - occupied)]
        files = sum(1 for entry in self._entries.values() if entry.kind == FILE)
        return Hashed([*self._entries.values(), *empty], self._platforms, files, self._size)

    def _plain(self, name: str) -> str:
        path = _utf8(name).removeprefix("./").rstrip("/")
        below = any(path == top or path.startswith(top + "/") for top in self._wanted)
        if not below or any(part in ("", ".", "..") for part in path.split("/")):
            raise NotPackable(path, "the build host sent something that was not asked for")
        return path

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.path] = entry
        self._size += entry.size
        if may_be_native(entry.path, entry.mode):
            with self._objects.path(entry.digest).open("rb") as file:
                platforms = platforms_of_header(file.read(HEADER_SIZE))
            if platforms:
                self._platforms[entry.path] = "+".join(platforms)


def _utf8(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise NameNotUtf8(name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")) from None
    return name
