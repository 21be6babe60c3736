"""Ends what runs on the tour's nodes: engines that a killed tour left, and runners with all their processes.

First each place gets a mark under which no runner begins any more (node/runner/holder.py), so an engine that is still
on its way to start one changes nothing. A process is signalled only if it is known to be the one that was meant: by the
lock that it holds, or by the time at which it began.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mikoshi.core.lease import MalformedLease, lease_from_bytes

CLOSED = "closed"
_LIMIT = 60.0
_POLL = 0.02
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class NotEnded(Exception):
    """Something still runs; the text names the places."""


@dataclass
class _Ending:
    """One environment's directory on a node, while it is brought to rest. `told`: the holders that were told to end."""

    root: Path
    told: set[int] = field(default_factory=set)

    def close(self) -> None:
        """Let no runner begin here, and end the engine that is at work."""
        (self.root / CLOSED).touch()
        with suppress(FileNotFoundError, MalformedLease):
            lease = lease_from_bytes((self.root / "lease").read_bytes())
            _kill(lease.engine.pid, lease.engine.started, lease.boot_id)

    def at_rest(self) -> bool:
        """Whether nothing runs here; a holder that does is told to end, each one once."""
        try:
            lock = (self.root / "run" / "holder.lock").open("r+b")
        except FileNotFoundError:
            return True
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._tell(lock)
                return False
            return not _kill_noted(self.root)

    def _tell(self, lock: BinaryIO) -> None:
        """Tell the holder to end, if the pid in the lock is already its own."""
        written = lock.read().strip()
        pid = int(written) if written.isdigit() else 0
        if pid and pid not in self.told and _has_open(pid, os.fstat(lock.fileno())):
            self.told.add(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def end_all(places: Sequence[Path]) -> int:
    """End everything in these environments' directories and let nothing begin there; how many had a runner.

    Raises NotEnded after a minute.
    """
    endings = [_Ending(place) for place in places]
    for ending in endings:
        ending.close()
    left, deadline = endings, time.monotonic() + _LIMIT
    while left := [ending for ending in left if not ending.at_rest()]:
        if time.monotonic() > deadline:
            raise NotEnded(", ".join(str(ending.root) for ending in left))
        time.sleep(_POLL)
    return sum(bool(ending.told) for ending in endings)


def _has_open(pid: int, file: os.stat_result) -> bool:
    with suppress(OSError):  # it may end at any moment
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if os.path.samestat(descriptor.stat(), file):
                    return True
    return False


def _kill_noted(root: Path) -> bool:
    """Kill what a holder and a runner that were killed together left behind; whether some of it still ends."""
    try:
        noted = json.loads((root / "run" / "processes").read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    living = [_kill(one["pid"], one["started"], noted["boot_id"], whole_group=True) for one in noted["children"]]
    return any(living)


def _kill(pid: int, began: int, boot_id: str, whole_group: bool = False) -> bool:
    """Kill the process, if it is the one that began then; whether it was still there."""
    if not began or _began(pid) != began or boot_id != _BOOT_ID.read_text().strip():
        return False
    with suppress(ProcessLookupError):
        (os.killpg if whole_group else os.kill)(pid, signal.SIGKILL)
    return True


def _began(pid: int) -> int:
    """When the process began, in clock ticks since boot (proc_pid_stat(5)); 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
