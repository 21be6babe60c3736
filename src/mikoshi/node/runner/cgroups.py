"""Limits of memory and processor time by control groups, of version 2 or 1, where this process may make them.

cgroup-v2.rst and cgroup-v1 of the kernel's documentation. Where no group can be made nothing is limited, and `unable`
says so: a limit is a guard, and an application must not stay down for want of one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

ROOT = "/sys/fs/cgroup"
PERIOD = 100_000  # microseconds, the kernel's own


def step_aside(base: str = ROOT) -> None:
    """Leave the unit's own group for one below it: in version 2 a group with members cannot limit its children."""
    for line in _read("/proc/self/cgroup").splitlines():
        own = os.path.join(base, line[3:].lstrip("/")).rstrip("/")
        if line.startswith("0::") and own != base and os.path.basename(own) != "runner":
            with suppress(OSError):
                os.makedirs(os.path.join(own, "runner"), exist_ok=True)
                _write(os.path.join(own, "runner", "cgroup.procs"), "0")


def prepare(root: str, name: str, limits: Mapping[str, Any], base: str = ROOT) -> list[str]:
    """Make the groups for one process; the files that it has to write "0" to, none if it has no limits or cannot."""
    wanted = {kind: limits[kind] for kind in ("memory", "cpu") if limits.get(kind)}
    if not wanted:
        return []
    joins = []
    for directory, settings in _groups(root, name, wanted, base):
        try:
            os.makedirs(directory, exist_ok=True)
            for file, value in settings:
                _write(os.path.join(directory, file), value)
        except OSError:
            continue
        joins.append(os.path.join(directory, "cgroup.procs"))
    return joins


def unable(limits: Mapping[str, Any], base: str = ROOT) -> list[str]:
    """Which of the wanted limits can not be kept here."""
    parents = {kind: _parent(kind, base) for kind in ("memory", "cpu") if limits.get(kind)}
    return [kind for kind, parent in parents.items() if not parent or not os.access(parent, os.W_OK)]


def remove(root: str, name: str, base: str = ROOT) -> None:
    """Remove the groups of a process that has ended; one that still has members stays."""
    for directory, _ in _groups(root, name, {"memory": 1, "cpu": 1}, base):
        with suppress(OSError):
            os.rmdir(directory)


def _groups(root: str, name: str, limits: Mapping[str, Any], base: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Directories and what is to be written into their files; in version 2 both limits share one."""
    own = "mikoshi" + root.replace("/", ".")
    found: dict[str, list[tuple[str, str]]] = {}
    for kind, value in limits.items():
        parent = _parent(kind, base)
        if parent:
            files = _files(kind, value, parent == _unified(base))
            found.setdefault(os.path.join(parent, f"{own}.{name}"), []).extend(files)
    return list(found.items())


def _files(kind: str, value: Any, unified: bool) -> list[tuple[str, str]]:
    if kind == "memory":
        return [("memory.max" if unified else "memory.limit_in_bytes", str(int(value)))]
    quota = str(int(float(value) * PERIOD))
    if unified:
        return [("cpu.max", f"{quota} {PERIOD}")]
    return [("cpu.cfs_period_us", str(PERIOD)), ("cpu.cfs_quota_us", quota)]


def _parent(kind: str, base: str) -> str:
    """Where groups for this controller are made: beside our own; "" if there is no such controller."""
    unified = _unified(base)
    if unified and kind in _read(os.path.join(unified, "cgroup.controllers")).split():
        control = os.path.join(unified, "cgroup.subtree_control")
        if kind not in _read(control).split():
            with suppress(OSError):
                _write(control, f"+{kind}")
        return unified if kind in _read(control).split() else ""
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if kind in controllers.split(","):
            directory = os.path.join(base, kind, path.lstrip("/"))
            return directory.rstrip("/") if os.path.isdir(directory) else ""
    return ""


def _unified(base: str) -> str:
    """The group that the unit's processes are below: the parent of ours, since a group with members has no limits."""
    if not os.path.exists(os.path.join(base, "cgroup.controllers")):
        return ""
    for line in _read("/proc/self/cgroup").splitlines():
        if line.startswith("0::"):
            own = os.path.join(base, line[3:].lstrip("/")).rstrip("/")
            return os.path.dirname(own) if os.path.basename(own) == "runner" else own
    return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
