"""What the kernel knows of processes: when one began, whether it is still that one, and whose children are whose."""

from __future__ import annotations

import os


def started(pid: int) -> int:
    """When the process began, in clock ticks since boot; 0 if there is none or it is a zombie."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in (b"Z", b"X") else 0


def parent(pid: int) -> int:
    """The parent's pid; 0 if there is no such process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _stat(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def all_pids() -> list[int]:
    """Every process of this pid namespace."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for pid in all_pids():
        children.setdefault(parent(pid), []).append(pid)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def carries(pid: int, mark: str) -> bool:
    """Whether a process has this `NAME=value` in the environment that it was started with."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark.encode() in file.read().split(b"\0")
    except OSError:
        return False


def name(pid: int) -> str:
    """The process's command name; "" if there is none."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def boot_id() -> str:
    """The name of this boot."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def usage(pid: int) -> tuple[float, int]:
    """Processor seconds and resident bytes of a process and its descendants. Pages that they share count for each."""
    ticks, pages = 0, 0
    for member in tree(pid):
        fields = _stat(member)
        if fields:
            ticks += int(fields[11]) + int(fields[12])
            pages += int(fields[21])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")
