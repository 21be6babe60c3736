"""The processes' output: lines with time and origin in one file a process, rotated by size.

A file that cannot be written loses lines and says how many once it can be again; it never stops a process.
"""

from __future__ import annotations

import os
import time

SIZE = 16 << 20
KEPT = 4
_LONGEST = 64 << 10
_BLOCK = 64 << 10
_AT_ONCE = 16  # blocks read from one pipe before others have their turn


class RotatedFile:
    """`path`, and `path.1` (the newest) to `path.4`, each of at most SIZE bytes and a block."""

    def __init__(self, path: str, size: int = SIZE, kept: int = KEPT) -> None:
        self._path, self._size, self._kept = path, size, kept
        self._descriptor = -1
        self._written = 0
        self._lost = 0

    def write(self, data: bytes) -> None:
        """Append `data`, which ends with a whole line."""
        try:
            if self._descriptor < 0 or self._written + len(data) > self._size:
                self._open()
            if self._lost:
                data = b"-- %d bytes were lost here: the log could not be written --\n" % self._lost + data
            while data:
                count = os.write(self._descriptor, data)
                data, self._written = data[count:], self._written + count
            self._lost = 0
        except OSError:
            self._lost += len(data)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self.close()
        try:
            if os.path.getsize(self._path) >= self._size - _LONGEST:
                self._rotate()
        except FileNotFoundError:
            pass  # the first one
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o640)
        self._written = os.fstat(self._descriptor).st_size

    def _rotate(self) -> None:
        for number in range(self._kept, 0, -1):
            older = f"{self._path}.{number}"
            newer = self._path if number == 1 else f"{self._path}.{number - 1}"
            if os.path.exists(newer):
                os.replace(newer, older)


class Lines:
    """The output of one instance, turned into whole lines with a prefix each."""

    def __init__(self, origin: str, file: RotatedFile) -> None:
        self._origin = origin.encode()
        self._file = file
        self._rest = b""

    def add(self, data: bytes) -> None:
        """Take what was read; whole lines are written at once, a line without end when it is longer than 64 KiB."""
        head, newline, tail = (self._rest + data).rpartition(b"\n")
        if newline:
            self._write(head)
        elif len(tail) > _LONGEST:
            self._write(tail)
            tail = b""
        self._rest = tail

    def end(self) -> None:
        """Write what no newline ended."""
        if self._rest:
            self._write(self._rest)
            self._rest = b""

    def _write(self, lines: bytes) -> None:
        prefix = b"%s %s " % (stamp(time.time()), self._origin)
        self._file.write(prefix + lines.replace(b"\n", b"\n" + prefix) + b"\n")


class Pipe:
    """The output of one instance."""

    def __init__(self, descriptor: int, lines: Lines) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.lines = lines

    def read(self) -> bool:
        """Take what is there; False once there will be no more."""
        for _ in range(_AT_ONCE):
            try:
                data = os.read(self.descriptor, _BLOCK)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.lines.add(data)
        return True

    def close(self) -> None:
        """Take the rest and close."""
        self.read()
        self.lines.end()
        os.close(self.descriptor)


def stamp(seconds: float) -> bytes:
    """A time of day as it stands in logs: 2026-01-31T23:59:59.123Z."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1000):03d}Z".encode()
