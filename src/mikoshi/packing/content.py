"""Reading a file's content once: what is hashed and what is kept are the same bytes, by construction.

A file that is written to meanwhile is read again; if it never keeps still, packing fails with its name.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from mikoshi.core.errors import FileChanged, NotPackable
from mikoshi.packing.platform import HEADER_SIZE
from mikoshi.packing.statcache import fingerprint

BLOCK = 1 << 20
ATTEMPTS = 4
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_FICLONE = 0x40049409  # ioctl(2): share the extents of one file with another
_NO_CLONE = (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM)


@dataclass(frozen=True)
class Content:
    """What one reading gave: SHA-256 in hex, size in bytes, the first bytes, and the status while it was read."""

    digest: str
    size: int
    header: bytes
    status: os.stat_result


def read_still(path: str, file: bytes, begin: Callable[[], int]) -> Content:
    """Hash `file` while copying it to the descriptor, empty and open for both, that `begin` returns for each attempt.

    `path` is the file's name for people. Raises FileChanged if it changes during each of several attempts or is gone,
    NotPackable if it cannot be read, and OSError if there is no room for the copy.
    """
    for _ in range(ATTEMPTS):
        content = _attempt(path, file, begin())
        if content is not None:
            return content
    raise FileChanged(path)


def _attempt(path: str, file: bytes, copy: int) -> Content | None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotPackable(path, error.strerror or str(error)) from error
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            return None
        digest, size, header = copy_hashing(descriptor, copy, before.st_size)
        after = os.fstat(descriptor)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise
        raise NotPackable(path, error.strerror or str(error)) from error
    finally:
        os.close(descriptor)
    if fingerprint(before) != fingerprint(after) or size != after.st_size:
        return None
    return Content(digest, size, header, after)


def copy_hashing(source: int, copy: int, expected: int) -> tuple[str, int, bytes]:
    """Copy what `source` has to `copy`; the copy's SHA-256 in hex, its size in bytes and its first bytes.

    `expected` is the size in bytes to be prepared for: a large buffer costs more than reading a small file.

    Where the file system can share extents the copy is a clone, and the clone is what is hashed.
    """
    cloned = _clone(source, copy)
    if cloned:
        source = copy
    hasher, size, header = hashlib.sha256(), 0, b""
    block_size = min(expected + 1, BLOCK)
    while block := os.read(source, block_size):
        hasher.update(block)
        if not size:
            header = block[:HEADER_SIZE]
        size += len(block)
        if not cloned:
            write_all(copy, block)
    return hasher.hexdigest(), size, header


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however many calls it takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _clone(source: int, copy: int) -> bool:
    try:
        fcntl.ioctl(copy, _FICLONE, source)
    except OSError as error:
        if error.errno in _NO_CLONE:
            return False
        raise
    os.lseek(copy, 0, os.SEEK_SET)
    return True
