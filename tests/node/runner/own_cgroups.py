"""A part of every control group hierarchy for one test: what a systemd does in there touches nobody else.

A process enters the part, then a cgroup namespace (unshare --cgroup), then mounts the hierarchies anew: their root is
then the part. From outside `remove` takes it away again.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.node.conftest import poll


@dataclass(frozen=True)
class Hierarchy:
    """One mount of control groups: where, of which kind ("cgroup", "cgroup2"), and with which options of its own."""

    place: str
    kind: str
    options: str


def hierarchies() -> list[Hierarchy]:
    """What is mounted (proc(5): mountinfo)."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split()[:3]
        if kind in ("cgroup", "cgroup2"):
            own = ",".join(word for word in options.split(",") if word not in ("rw", "ro"))
            found.append(Hierarchy(fields.split()[4], kind, "" if kind == "cgroup2" else own))
    return found


def enter(name: str) -> None:
    """Make the part called `name` everywhere, and be in it."""
    for one in hierarchies():
        group = Path(one.place, name)
        group.mkdir()
        for file in ("cpuset.cpus", "cpuset.mems"):  # version 1: empty, nothing may run there
            if (group / file).exists():
                (group / file).write_text((group.parent / file).read_text())
        (group / "cgroup.procs").write_text(str(os.getpid()))


def mount_anew() -> None:
    """In the namespaces: the same hierarchies, seen from the part on."""
    wanted = hierarchies()
    for one in sorted(wanted, key=lambda one: one.place, reverse=True):
        subprocess.run(["umount", one.place], check=True)
    if not any(one.place == "/sys/fs/cgroup" for one in wanted):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/sys/fs/cgroup"], check=True)
    for one in wanted:
        Path(one.place).mkdir(exist_ok=True)
        options = f"none,{one.options}" if one.options.startswith("name=") else one.options
        command = ["mount", "-t", one.kind, *(["-o", options] if options else []), one.kind, one.place]
        subprocess.run(command, check=True)


def remove(name: str) -> None:
    """Remove the part, once everything in it has ended."""
    for one in hierarchies():
        part = Path(one.place, name)
        if part.exists():
            poll(partial(_is_empty, part))
            for group in sorted((path for path in part.rglob("*") if path.is_dir()), reverse=True):
                group.rmdir()
            part.rmdir()


def _is_empty(part: Path) -> bool:
    return not any(file.read_text() for file in part.rglob("cgroup.procs"))
