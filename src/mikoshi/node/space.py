"""Whether a deployment fits on the disk, asked before anything is written."""

from __future__ import annotations

import errno
import os

from mikoshi.core.errors import DiskFull, InfrastructureError, InodesExhausted, PathUnusable
from mikoshi.node import machine

BLOCK = 4096
MARGIN_BYTES = 1 << 20
MARGIN_INODES = 16


def rounded(size: int) -> int:
    """The bytes that a file of `size` takes on a file system with ordinary blocks."""
    return -(-size // BLOCK) * BLOCK


def require(path: str, size: int, inodes: int) -> None:
    """Raise DiskFull or InodesExhausted unless `size` bytes in `inodes` new files and directories fit at `path`."""
    needed = size + inodes * (BLOCK // 8) + size // 64 + MARGIN_BYTES
    free_bytes, free_inodes = machine.space(path)
    if free_bytes < needed:
        raise DiskFull(path, needed, free_bytes)
    if 0 <= free_inodes < inodes + MARGIN_INODES:
        raise InodesExhausted(path, inodes + MARGIN_INODES, free_inodes)


def from_system(error: OSError, path: str, needed: int = 0) -> InfrastructureError:
    """The error of the tree for one of the system's: a full disk is told apart from an unusable path."""
    where = os.fspath(error.filename) if isinstance(error.filename, str) else path
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free_bytes, free_inodes = _space(path)
        if free_inodes == 0:
            return InodesExhausted(path, 1, 0)
        return DiskFull(path, needed or 1, free_bytes or 0)
    return PathUnusable(where, error.strerror or str(error))


def _space(path: str) -> tuple[int | None, int | None]:
    try:
        return machine.space(path)
    except OSError:
        return None, None
