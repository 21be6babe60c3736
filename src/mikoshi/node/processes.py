"""Runs a hook or the restart command: as the right user, in its own session, with a time limit, its output in a file.

The output is a file and never a pipe: a daemon that the command leaves behind can go on writing, and cannot keep the
engine waiting by holding a descriptor.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field

from mikoshi.core.errors import HookFailed, HookTimeout, last_lines
from mikoshi.core.messages import Output
from mikoshi.node import environment, orphans
from mikoshi.node.bare import for_command
from mikoshi.node.machine import User, find_user
from mikoshi.node.redact import Redaction
from mikoshi.node.workspace import Workspace

_POLL = 0.05
_GRACE = 2.0
_BLOCK = 64 << 10
_LONGEST_LINE = 8 << 10


@dataclass(frozen=True)
class Command:
    """A shell command of a deployment: its name ("restart"), text, time limit in seconds, where it runs, and what of
    its output may be shown."""

    name: str
    run: str
    within: float
    seq: int
    directory: str
    shown: Redaction = field(default_factory=Redaction)


class LogTail:
    """Follows what a command adds to its log and hands it on line by line, without its secrets."""

    def __init__(self, work: Workspace, source: str, path: str, shown: Redaction) -> None:
        self._work, self._source, self._path, self._shown = work, source, path, shown
        self._at = os.path.getsize(path) if os.path.exists(path) else 0
        self._begin, self._pending = self._at, b""

    def follow(self, final: bool = False) -> None:
        """Emit the lines that are complete; with `final` also a last one without its end."""
        with open(self._path, "rb") as file:
            file.seek(self._at)
            while True:
                block = file.read(_BLOCK)
                if not block:
                    break
                self._at += len(block)
                *lines, self._pending = (self._pending + block).split(b"\n")
                for line in lines:
                    self._emit(line)
                if len(self._pending) > _LONGEST_LINE:
                    self._emit(self._pending)
                    self._pending = b""
        if final and self._pending:
            self._emit(self._pending)
            self._pending = b""

    def _emit(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
        self._work.emit(Output(self._source, self._shown(text)))

    def last_lines(self) -> list[str]:
        """The last lines that the log got since this tail began."""
        return tail(self._path, self._shown, self._begin)


def log_path(work: Workspace, seq: int, name: str) -> str:
    """Where the output of a deployment's command goes."""
    return os.path.join(work.paths.logs, f"{seq}-{name}.log")


def tail(path: str, shown: Redaction, begin: int = 0) -> list[str]:
    """The last lines of a log from the byte `begin` on, as they may be shown; none if there is no log."""
    try:
        with open(path, "rb") as file:
            file.seek(max(begin, os.fstat(file.fileno()).st_size - _BLOCK))
            return [shown(line) for line in last_lines(file.read().decode("utf-8", "replace"))]
    except FileNotFoundError:
        return []


def run(work: Workspace, command: Command) -> None:
    """Run a command to its end, its lines as events. Raises HookFailed and HookTimeout with the last lines."""
    log = log_path(work, command.seq, command.name)
    lines = LogTail(work, command.name, log, command.shown)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(log, flags, 0o640)
    try:
        process = _start(work, command, fd)
    finally:
        os.close(fd)
    orphans.note(work, process.pid)
    status = _wait(process, command.within, lines)
    orphans.forget(work)
    lines.follow(final=True)
    if status is None:
        raise HookTimeout(command.name, command.run, command.within, lines.last_lines())
    if status != 0:
        raise HookFailed(command.name, command.run, status, lines.last_lines())


def _start(work: Workspace, command: Command, output: int) -> subprocess.Popen[bytes]:
    values = environment.read(work, command.seq)
    user, changes = work.identity.commands, work.identity.changes_user
    return subprocess.Popen(
        ["/bin/sh", "-c", command.run],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=command.directory,
        env=for_command(values, user),
        start_new_session=True,
        umask=0o022,
        user=user.uid if changes else None,
        group=user.gid if changes else None,
        extra_groups=_groups(user) if changes else None,
    )


def _groups(user: User) -> list[int]:
    return os.getgrouplist(user.name, user.gid) if find_user(user.name) else []


def _wait(process: subprocess.Popen[bytes], within: float, lines: LogTail) -> int | None:
    """The exit status, or None if the time was over and the process group was killed."""
    deadline = time.monotonic() + within
    while True:
        try:
            return process.wait(min(_POLL, max(0.001, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            lines.follow()
        if time.monotonic() >= deadline:
            _kill_group(process)
            return None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass  # the group is empty; the leader is still to be waited for
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
