"""What is known of files that have not changed since they were last read: their digest and platforms.

An entry counts only while everything the file system says of the file is the same, and it is stored only if the file
had been left alone for longer than any clock's granularity *before* it was read: an edit after the reading then has
another change time, which nobody can set. When in doubt a file is read again; a damaged cache is an empty one.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mikoshi.packing.clock import Moment

MARGIN_NS = 2_000_000_000  # FAT's two seconds are the coarsest time stamps in use
_HEAD = f"mikoshi stat cache 1 {sys.byteorder}\n".encode()
_DIGEST_SIZE = 32
_COLUMNS = 6


class Known(NamedTuple):
    """What reading a file gave: the content's SHA-256 in hex, and the platforms its header names ("" or "a+b")."""

    digest: str
    platforms: str


Fingerprint = tuple[int, int, int, int, int, int]


def fingerprint(status: os.stat_result) -> Fingerprint:
    """All that tells a changed file from an unchanged one, as signed 64-bit numbers."""
    return (
        _signed(status.st_dev),
        _signed(status.st_ino),
        status.st_size,
        status.st_mode,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


@dataclass(frozen=True)
class StatCache:
    """The files of one source directory as they were known after the last pack."""

    entries: Mapping[str, tuple[Fingerprint, Known]]

    def known(self, path: str, status: os.stat_result) -> Known | None:
        """What is known of the file at `path`, if it has not changed."""
        entry = self.entries.get(path)
        if entry is None or entry[0] != fingerprint(status):
            return None
        return entry[1]


def settled(status: os.stat_result, moment: Moment | None) -> bool:
    """Whether a file read after `moment` can never be changed without its status showing it."""
    if moment is None or status.st_dev != moment.device:
        return False
    return max(status.st_mtime_ns, status.st_ctime_ns) + MARGIN_NS < moment.nanoseconds


def cache_file(cache: Path, source: Path) -> Path:
    """Where the cache for the directory `source` lies below the directory `cache`."""
    return cache / "stat" / source_key(source)


def source_key(source: Path) -> str:
    """A name for what is kept of one source directory."""
    return hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:32]


def load(file: Path) -> StatCache:
    """The cache in `file`; an empty one if there is none or it is damaged."""
    try:
        content = file.read_bytes()
    except OSError:  # absent, or not readable: all files are read again
        return StatCache({})
    body = content[len(_HEAD) + _DIGEST_SIZE :]
    if not content.startswith(_HEAD) or content[len(_HEAD) :][:_DIGEST_SIZE] != hashlib.sha256(body).digest():
        return StatCache({})
    return StatCache(_decode(body))


def save(file: Path, entries: Iterable[tuple[str, os.stat_result, Known]]) -> None:
    """Replace the cache in `file`; only `settled` entries may be given. A reader sees the old cache or the new one."""
    body = _encode([(path, fingerprint(status), known) for path, status, known in entries])
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as new:
            new.write(_HEAD + hashlib.sha256(body).digest() + body)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise


def _encode(rows: list[tuple[str, Fingerprint, Known]]) -> bytes:
    """Columns, not rows: 100,000 files load in a blink. Lengths first, then paths, platforms, numbers and digests."""
    paths = "\0".join(path for path, _, _ in rows).encode()
    platforms = "\0".join(known.platforms for _, _, known in rows).encode()
    numbers = array("q", (number for _, mark, _ in rows for number in mark))
    digests = bytes.fromhex("".join(known.digest for _, _, known in rows))
    head = array("q", (len(rows), len(paths), len(platforms)))
    return b"".join((head.tobytes(), paths, platforms, numbers.tobytes(), digests))


def _decode(body: bytes) -> dict[str, tuple[Fingerprint, Known]]:
    head = array("q")
    head.frombytes(body[:24])
    count, path_bytes, platform_bytes = head
    if count == 0:
        return {}
    at = 24
    paths = body[at : (at := at + path_bytes)].decode().split("\0")
    platforms = body[at : (at := at + platform_bytes)].decode().split("\0")
    numbers = array("q")
    numbers.frombytes(body[at : (at := at + count * _COLUMNS * 8)])
    digests = body[at:].hex()
    columns = [numbers[column::_COLUMNS] for column in range(_COLUMNS)]
    marks = zip(*columns, strict=True)
    known = (Known(digests[index * 64 : index * 64 + 64], platform) for index, platform in enumerate(platforms))
    return dict(zip(paths, zip(marks, known, strict=True), strict=True))


def _signed(number: int) -> int:
    """Inode and device numbers may use all 64 bits."""
    return number - (1 << 64) if number >= 1 << 63 else number
