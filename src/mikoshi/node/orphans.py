"""A command whose engine was killed goes on by itself. The next engine ends it before anything else is started.

Its result can never be known, so its step is done again; two runs of one hook must not overlap.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict

from mikoshi.core.errors import PathUnusable
from mikoshi.core.lease import EngineProcess
from mikoshi.node import machine
from mikoshi.node.workspace import Workspace

_GRACE = 2.0
_LIMIT = 10.0


def note(work: Workspace, pid: int) -> None:
    """Remember the command that runs. Not synced: it matters to an engine's death only, not to the machine's."""
    path = work.paths.command
    data = json.dumps({"boot_id": machine.boot_id(), "process": asdict(machine.process(pid))}).encode()
    work.files.discard(path)
    file = work.files.create(path)
    try:
        work.files.write(file, data, 0)
    finally:
        work.files.close(file)


def forget(work: Workspace) -> None:
    """No command runs."""
    work.files.discard(work.paths.command)


def end(work: Workspace) -> None:
    """End the command of a killed engine, with its process group. Raises PathUnusable if it does not die."""
    found = _read(work)
    if found is not None:
        deadline = time.monotonic() + _LIMIT
        number = signal.SIGTERM
        while not machine.is_gone(found):
            _kill(found, number)
            if time.monotonic() > deadline - _LIMIT + _GRACE:
                number = signal.SIGKILL
            if time.monotonic() > deadline:
                raise PathUnusable(work.paths.root, f"process {found.pid} of an interrupted deploy does not end")
            time.sleep(0.02)
    forget(work)


def _kill(process: EngineProcess, number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return  # it ended between the question and the signal


def _read(work: Workspace) -> EngineProcess | None:
    """The noted command, if it may still run; None also for a note that a power loss tore."""
    try:
        with open(work.paths.command, "rb") as file:
            noted = json.loads(file.read())
        process = EngineProcess(**noted["process"])
        same_boot = noted["boot_id"] == machine.boot_id()
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    unknown = not process.started or process.namespace != machine.this_process().namespace
    return process if same_boot and not unknown else None
