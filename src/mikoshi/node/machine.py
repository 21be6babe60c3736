"""The machine the engine stands on: its clock and boot, its processes, its user. Read-only.

Everything here is asked of the kernel; what a test needs to be different is a field.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass

from mikoshi.core.lease import EngineProcess, Instant
from mikoshi.node.runner import processes

_DEATH_LIMIT = 5.0


def platform() -> str:
    """This node's platform, as in "linux-x86_64" or "darwin-arm64"."""
    from mikoshi.core.platforms import platform_name  # not for the runner: it brings hashlib

    return platform_name(sys.platform, os.uname().machine)


def read_text(path: str) -> str:
    """A small system file's text, stripped; "" where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def boot_id() -> str:
    """The name of this boot; where the kernel has none, the moment it began, in minutes."""
    found = read_text("/proc/sys/kernel/random/boot_id")
    return found or f"boot-{round((time.time() - time.monotonic()) / 60)}"


def now() -> Instant:
    """This moment by the clock that goes on in suspend and knows nothing of wall time."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    seconds = time.monotonic() if clock is None else time.clock_gettime(clock)
    return Instant(seconds, boot_id())


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def process(pid: int) -> EngineProcess:
    """The process that has this number now."""
    return EngineProcess(pid, processes.started(pid), _namespace())


def this_process() -> EngineProcess:
    """The engine's own process."""
    return process(os.getpid())


def is_gone(engine: EngineProcess) -> bool:
    """Whether that process is known to be dead; False where it cannot be known."""
    if not engine.pid or not engine.started or engine.namespace != _namespace():
        return False
    return processes.started(engine.pid) != engine.started


def end(engine: EngineProcess) -> bool:
    """Kill that process and wait for its death; whether it is now known to be dead.

    Only for the engine of an expired lease: one that was merely paused must not go on writing.
    """
    if is_gone(engine):
        return True
    if not engine.pid or not engine.started or engine.namespace != _namespace():
        return not engine.pid
    try:
        os.kill(engine.pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    deadline = time.monotonic() + _DEATH_LIMIT
    while not is_gone(engine):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def space(path: str) -> tuple[int, int]:
    """Free bytes and free inodes (-1: no limit) for this user where `path` is or will be."""
    figures = os.statvfs(existing(path))
    return figures.f_bavail * figures.f_frsize, figures.f_favail if figures.f_files else -1


def existing(path: str) -> str:
    """`path` or its nearest ancestor that exists."""
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def identity(path: str) -> str:
    """A digest that is equal exactly for names of one machine and one directory."""
    import hashlib  # the runner, which lives long, does without

    ancestor = existing(path)
    status = os.stat(ancestor)
    facts = (
        read_text("/etc/machine-id"),
        boot_id(),
        os.uname().nodename,
        str((status.st_dev, status.st_ino)),
        os.path.relpath(path, ancestor),
    )
    return hashlib.sha256("\0".join(facts).encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True)
class User:
    """A user that commands can run as."""

    name: str
    uid: int
    gid: int
    home: str


def find_user(name: str) -> User | None:
    """The user with this name, or None."""
    import pwd

    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return User(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir)


def user_of(uid: int) -> User:
    """The user with this number; one without an account has its number as name and / as home."""
    import pwd

    try:
        found = pwd.getpwuid(uid)
    except KeyError:
        return User(str(uid), uid, uid, "/")
    return User(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir)
