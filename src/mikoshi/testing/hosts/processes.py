"""The processes of one pid namespace, looked at and stopped from outside."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

_STOPPED = frozenset("TtZX")


def namespace_of(pid: int) -> str | None:
    """The name of the pid namespace that a process is in, or None if it is gone or not ours to look at.

    A process that has more capabilities than this one cannot be in a namespace that this one made.
    """
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def processes_in(namespace: str) -> Iterator[int]:
    """The pids, as this process knows them, of all processes in a pid namespace."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and namespace_of(int(entry.name)) == namespace:
            yield int(entry.name)


def stop_all(namespace: str) -> bool:
    """Stop what still runs in a pid namespace. True if nothing did: then nothing is left that could fork."""
    running = [pid for pid in processes_in(namespace) if _state_and_parent(pid)[0] not in _STOPPED]
    for pid in running:
        _signal(pid, signal.SIGSTOP)
    return not running


def continue_all(namespace: str) -> None:
    """Let go on what stop_all stopped, and what nsenter outside stopped of itself when its child stopped."""
    for pid in list(processes_in(namespace)):
        state, parent = _state_and_parent(pid)
        _signal(pid, signal.SIGCONT)
        if state == "T" and parent and namespace_of(parent) != namespace and _state_and_parent(parent)[0] == "T":
            _signal(parent, signal.SIGCONT)


def _state_and_parent(pid: int) -> tuple[str, int]:
    """A process's state letter and its parent's pid; ("X", 0) if it is gone. See proc_pid_stat(5)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "X", 0
    return fields[0], int(fields[1])


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it ended by itself, which is as good as stopped
