"""The last lines of the processes' logs, and what comes: read by position, through rotations. Never writes a log."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from mikoshi.core.messages import Logs, Output
from mikoshi.node import redact
from mikoshi.node.redact import Redaction
from mikoshi.node.workspace import Workspace

_LOOK = 0.1
_BLOCK = 256 << 10
_FURTHEST = 4 << 20  # bytes that are looked through for the last lines of one file
_ALL = 1 << 30
_OWN = "runner"


def logs(work: Workspace, request: Logs) -> None:
    """Emit the output of the processes; with `follow` until the session ends."""
    tails: dict[str, Tail] = {}
    shown, lines = _Shown(work), request.lines
    try:
        while True:
            names = _logged(work, request.process)
            found = [(name, line) for name in names for line in _news(work, tails, name, lines)]
            redaction = shown.now()  # after reading: a deployment stands completely before its first line is written
            for name, line in found:
                if work.ended():
                    return
                work.emit(Output(name, redaction(line.decode("utf-8", "replace"))))
            if not request.follow or work.ended():
                return
            lines = _ALL  # of a log that was not there at first
            time.sleep(_LOOK)
    finally:
        for tail in tails.values():
            tail.close()


def _news(work: Workspace, tails: dict[str, Tail], name: str, lines: int) -> list[bytes]:
    if name in tails:
        return tails[name].more()
    tails[name] = Tail(os.path.join(work.paths.logs, f"{name}.log"))
    return tails[name].last(lines)


def _logged(work: Workspace, only: str) -> list[str]:
    """The processes that have a log here, by name; hooks' logs have a number before their name."""
    try:
        names = sorted(os.listdir(work.paths.logs))
    except FileNotFoundError:
        return []
    found = [name[: -len(".log")] for name in names if name.endswith(".log") and not name[0].isdigit()]
    return [name for name in found if name != _OWN and only in ("", name)]


class _Shown:
    """What is hidden: the secrets of every deployment that stands here, for logs hold lines of all of them."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        self._standing: list[tuple[int, bool]] | None = None
        self._redaction = Redaction()

    def now(self) -> Redaction:
        """For what was printed until now."""
        deployments = self._work.deployments
        standing = [(seq, os.path.exists(deployments.paths(seq).record)) for seq in deployments.seqs()]
        if standing != self._standing:
            self._redaction = redact.of_all(self._work)
            self._standing = standing
        return self._redaction


@dataclass
class Tail:
    """One log, as far as it was read. `rest` is the begin of a line that has no end yet."""

    path: str
    descriptor: int = -1
    at: int = 0
    rest: bytes = b""

    def last(self, count: int) -> list[bytes]:
        """The last `count` lines, those of the file before a rotation too; remembers where the file ended."""
        self._open()
        if self.descriptor < 0:
            return []
        self.at = os.fstat(self.descriptor).st_size
        lines, self.rest = _last_lines(self.descriptor, self.at, count)
        if len(lines) < count:
            lines = _last_of(f"{self.path}.1", count - len(lines)) + lines
        return lines

    def more(self) -> list[bytes]:
        """What has come since, whole lines."""
        moved = self._is_another()  # asked first: afterwards nothing more is written to the file that was rotated away
        self._read()
        if moved:
            self.close()
            self._open()
            self._read()
        *lines, self.rest = self.rest.split(b"\n")
        return lines

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _open(self) -> None:
        self.descriptor, self.at = _opened(self.path), 0

    def _is_another(self) -> bool:
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            return False
        return self.descriptor < 0 or status.st_ino != os.fstat(self.descriptor).st_ino

    def _read(self) -> None:
        if self.descriptor < 0:
            return
        if os.fstat(self.descriptor).st_size < self.at:
            self.at, self.rest = 0, b""  # somebody emptied it
        while data := os.pread(self.descriptor, _BLOCK, self.at):
            self.at += len(data)
            self.rest += data


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1


def _last_of(path: str, count: int) -> list[bytes]:
    descriptor = _opened(path)
    if descriptor < 0:
        return []
    try:
        return _last_lines(descriptor, os.fstat(descriptor).st_size, count)[0]
    finally:
        os.close(descriptor)


def _last_lines(descriptor: int, size: int, count: int) -> tuple[list[bytes], bytes]:
    """The last whole lines of a file of `size` bytes, and what stands behind them without an end."""
    data, at = b"", size
    while at and size - at < _FURTHEST and data.count(b"\n") <= count:
        step = min(_BLOCK, at)
        at -= step
        data = os.pread(descriptor, step, at) + data
    *lines, rest = data.split(b"\n")
    if at:
        lines = lines[1:]  # its begin was not read
    return lines[-count:] if count > 0 else [], rest
