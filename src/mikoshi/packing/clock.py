"""The file system's own clock: the time it would stamp on a file changed right now.

Time stamps of files are compared with this clock alone; the machine's may differ from it (network file systems) and has
another granularity. The source directory keeps no trace.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Moment:
    """A point of one file system's time, in nanoseconds; `device` says which file system's."""

    device: int
    nanoseconds: int


def moment_of(directory: Path, spare: Path) -> Moment | None:
    """The present by the clock of the file system that holds `directory`.

    `spare` is a writable directory that is used instead if it is on the same file system and an unnamed file cannot be
    made in `directory`. None if the clock cannot be read without leaving a trace.
    """
    device = directory.stat().st_dev
    status = _unnamed(directory)
    if status is None and spare.stat().st_dev == device:
        with tempfile.TemporaryFile(dir=spare) as file:
            status = os.fstat(file.fileno())
    return None if status is None else Moment(device, status.st_ctime_ns)


def _unnamed(directory: Path) -> os.stat_result | None:
    """The status of a new file without a name in `directory`: no watcher sees it, the directory does not change."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return None
    try:
        descriptor = os.open(directory, flag | os.O_WRONLY, 0o600)
    except OSError:  # read-only, not ours, or a file system without unnamed files
        return None
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)
