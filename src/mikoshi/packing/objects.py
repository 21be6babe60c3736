"""File contents kept by their SHA-256, each once.

An object appears under its name by a rename and only complete. It is verified again whenever it is read: one that was
damaged, or cut short by a loss of power, is removed and never used.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Self

from mikoshi.core.errors import ContentCorrupt, DiskFull
from mikoshi.packing.content import BLOCK, NO_ROOM, Content, read_still, write_all


class ObjectDamaged(ValueError):
    """The object is missing, or was not what its name says and is gone now."""


class Objects:
    """The objects below one directory. Several processes may add at a time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made = set[str]()
        self._numbers = iter(range(1 << 62))

    def path(self, digest: str) -> Path:
        """Where the object lies or would lie."""
        return self._directory / digest[:2] / digest[2:]

    def digests(self) -> set[str]:
        """All objects there are."""
        found = set[str]()
        for directory in self._fans():
            with os.scandir(directory) as items:
                found.update(directory.name + item.name for item in items)
        return found

    def add_file(self, path: str, file: bytes) -> Content:
        """Hash a file while keeping it. `path` is its name for people. Raises what `read_still` does, and DiskFull."""
        with _New(self) as new:
            content = read_still(path, file, new.begin)
            new.keep(content.digest)
        return content

    def add_stream(self, path: str, stream: BinaryIO, digest: str = "") -> tuple[str, int]:
        """Keep what `stream` gives; its digest and size in bytes.

        Raises ContentCorrupt, and keeps nothing, if `digest` is given and another one came; DiskFull.
        """
        with _New(self) as new:
            copy, hasher, size = new.begin(), hashlib.sha256(), 0
            while block := stream.read(BLOCK):
                hasher.update(block)
                write_all(copy, block)
                size += len(block)
            got = hasher.hexdigest()
            if digest and got != digest:
                raise ContentCorrupt(path, digest, got)
            new.keep(got)
        return got, size

    def read(self, digest: str, offset: int, size: int, part: str) -> bytes:
        """`size` bytes from `offset` of an object, whose own digest is `part`. Raises ObjectDamaged."""
        try:
            with self.path(digest).open("rb", buffering=0) as file:
                data = _read_exactly(file.fileno(), offset, size)
        except FileNotFoundError:
            raise ObjectDamaged(digest) from None
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            data = b""
        if hashlib.sha256(data).hexdigest() != part:
            self.remove([digest])
            raise ObjectDamaged(digest)
        return data

    def remove(self, digests: Iterable[str]) -> None:
        """Remove objects; those that are gone already are no error."""
        for digest in digests:
            self.path(digest).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what dead processes left half-written. Only while nobody else adds."""
        with os.scandir(self._new_directory()) as items:
            for item in items:
                os.unlink(item.path)

    def begin(self) -> tuple[str, int]:
        """A new empty file: its name and a descriptor open for reading and writing."""
        name = f"{self._new_directory()}/{os.getpid()}-{id(self):x}-{next(self._numbers)}"
        return name, os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def put(self, name: str, digest: str) -> None:
        """Give the complete file `name` its place as an object."""
        fan = digest[:2]
        if fan not in self._made:
            os.makedirs(self._directory / fan, mode=0o700, exist_ok=True)
            self._made.add(fan)
        os.rename(name, f"{self._directory}/{fan}/{digest[2:]}")

    def full(self, needed: int) -> DiskFull:
        """The error that says that the disk has no room for `needed` more bytes."""
        status = os.statvfs(self._directory)
        return DiskFull(str(self._directory), needed, status.f_bavail * status.f_frsize)

    def _new_directory(self) -> str:
        path = f"{self._directory}/new"
        if "new" not in self._made:
            os.makedirs(path, mode=0o700, exist_ok=True)
            self._made.add("new")
        return path

    def _fans(self) -> list[Path]:
        if not self._directory.is_dir():
            return []
        return [directory for directory in self._directory.iterdir() if len(directory.name) == 2]


class _New:
    """One object in the making: thrown away unless it is kept."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._name = ""
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def begin(self) -> int:
        """A descriptor for the content, empty; begun again, what was written before is thrown away."""
        self._discard()
        self._name, self._descriptor = self._objects.begin()
        return self._descriptor

    def keep(self, digest: str) -> None:
        """The content is complete."""
        os.close(self._descriptor)
        self._descriptor = -1
        self._objects.put(self._name, digest)
        self._name = ""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        written = os.fstat(self._descriptor).st_size if self._descriptor >= 0 else 0
        self._discard()
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise self._objects.full(written) from error

    def _discard(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._name:
            os.unlink(self._name)
            self._name = ""


def _read_exactly(descriptor: int, offset: int, size: int) -> bytes:
    parts, left = [], size
    while left:
        part = os.pread(descriptor, left, offset + size - left)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
