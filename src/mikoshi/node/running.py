"""The running deployment's processes: what is there, restart, stop. Never changes `current`."""

from __future__ import annotations

import os
import time
import uuid

from mikoshi.core.errors import MikoshiError, NotStaged
from mikoshi.core.messages import ProcessView
from mikoshi.node.activate import ActivationFailed
from mikoshi.node.deployments import Stored
from mikoshi.node.flip import Flip
from mikoshi.node.runner import processes
from mikoshi.node.runner.handover import Handover, has_runner, stop_all
from mikoshi.node.runner.logs import stamp
from mikoshi.node.workspace import Workspace


def process_views(work: Workspace) -> tuple[ProcessView, ...]:
    """What the runner keeps; nothing where there is none."""
    if not work.runner.running:
        return ()
    status = work.runner.ask("status")
    views = []
    for row in status["processes"]:
        cpu, memory = processes.usage(row["pid"]) if row["pid"] else (0.0, 0)
        fields = {name: row[name] for name in ("process", "number", "seq", "generation", "pid", "state", "up", "ends")}
        views.append(
            ProcessView(
                **fields, wanted=row["generation"] == status["wanted"], listen=row["listen"],
                last_status=row["last_status"], reason=row["reason"], cpu=cpu, memory=memory,
            )
        )  # fmt: skip
    return tuple(views)


def is_stopped(work: Workspace) -> bool:
    """Whether somebody ended the processes, and no deploy or restart began them again."""
    return os.path.exists(work.paths.stopped)


def are_forsaken(work: Workspace) -> bool:
    """Whether processes are to run here that no runner keeps."""
    stored = _running(work)
    return stored is not None and has_runner(stored) and not is_stopped(work) and not work.runner.running


def _running(work: Workspace) -> Stored | None:
    seq = work.deployments.current()
    return work.deployments.load(seq) if seq else None


def restart(work: Workspace) -> None:
    """New processes for what runs. Raises NotStaged if nothing does; on failure what ran before goes on.

    A user's own restart command is another matter: if it fails, ActivationFailed says that nobody went back.
    """
    stored = _running(work)
    if stored is None:
        raise NotStaged(work.deployments.current())
    if not has_runner(stored):
        _run_restart(work, stored)
        return
    runner = work.runner
    runner.ensure()
    before = runner.ask("status")["wanted"]
    handover = Handover(work, stored, stamp(time.time()).decode())
    runner.ask("restart", key=uuid.uuid4().hex)
    try:
        handover.until_alive()
    except MikoshiError:
        if before:
            runner.ask("return", generation=before)
        else:
            runner.ask("stop")
        handover.drain()
        raise
    handover.drain()


def _run_restart(work: Workspace, stored: Stored) -> None:
    flip = Flip(work, stored, set())
    try:
        flip.restart()
        flip.health()
    except MikoshiError as error:
        raise ActivationFailed(error, stored.seq, False, "the restart command has no way back") from error


def stop(work: Workspace) -> int:
    """End all processes of the runner's; how many there were."""
    if are_forsaken(work):
        work.runner.ensure()  # it finds them, and can end them
    if not work.runner.running:
        return 0
    there = [row for row in work.runner.ask("status")["processes"] if row["pid"]]
    work.runner.ask("stop")
    stop_all(work)
    return len(there)
