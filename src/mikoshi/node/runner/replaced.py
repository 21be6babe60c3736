"""Moving in: the unit that ran the application before makes way, and is started again if the first deploy fails.

The file `replaced` says that it was we who stopped it, whatever is killed in between.
"""

from __future__ import annotations

import os

from mikoshi.core.errors import RunnerUnavailable
from mikoshi.node.runner.units import Manager, manager
from mikoshi.node.workspace import Workspace


def stands_in_the_way(unit: str) -> bool:
    """Whether the unit still runs: its port is not ours to open then. Raises RunnerUnavailable without systemd."""
    return bool(unit) and _manager(unit).run("is-active", "--quiet", unit).returncode == 0


def take_over(work: Workspace, unit: str) -> None:
    """Stop the unit; that it has to be started again is written down first. Raises RunnerUnavailable."""
    if stands_in_the_way(unit):
        work.files.replace(_path(work), unit.encode())
        _manager(unit).must("stop", unit)


def give_back(work: Workspace) -> None:
    """Start the unit again that was stopped, if one was. Raises RunnerUnavailable."""
    unit = _noted(work)
    if unit:
        _manager(unit).must("start", unit)
        work.files.discard(_path(work))


def keep(work: Workspace) -> None:
    """It is replaced for good: it does not come back at the next boot either."""
    unit = _noted(work)
    if unit:
        _manager(unit).must("disable", unit)
        work.files.discard(_path(work))


def _path(work: Workspace) -> str:
    return work.paths.below("replaced")


def _noted(work: Workspace) -> str:
    try:
        with open(_path(work), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _manager(unit: str) -> Manager:
    found = manager()
    if found is None:
        who = "root, or a user who lingers" if os.path.exists("/run/systemd/system") else "systemd, which is not here"
        raise RunnerUnavailable(f"`replaces` ({unit}) needs {who}")
    return found
