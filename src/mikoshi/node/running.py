"""The running deployment's processes: what is there, restart, stop, their output. Never changes `current`."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass

from mikoshi.core.errors import MikoshiError, NotStaged
from mikoshi.core.messages import Logs, Output, ProcessView
from mikoshi.node import redact
from mikoshi.node.flip import Flip
from mikoshi.node.runner import processes
from mikoshi.node.runner.handover import Handover, has_runner, stop_all
from mikoshi.node.workspace import Workspace

_LOOK = 0.1
_BLOCK = 256 << 10
_OWN = "runner"


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


def restart(work: Workspace) -> None:
    """New processes for what runs. Raises NotStaged if nothing does; on failure the old ones are what serves."""
    seq = work.deployments.current()
    stored = work.deployments.staged(seq)
    if not seq:
        raise NotStaged(0)
    if not has_runner(stored):
        flip = Flip(work, stored, set())
        flip.restart()
        flip.health()
        return
    runner = work.runner
    runner.ensure()
    before = runner.ask("status")["wanted"]
    runner.ask("restart", key=uuid.uuid4().hex)
    handover = Handover(work, stored)
    try:
        handover.until_alive()
    except MikoshiError:
        runner.ask("return", generation=before)
        handover.drain()
        raise
    handover.drain()


def stop(work: Workspace) -> int:
    """End all processes of the runner's; how many there were."""
    if not work.runner.running:
        return 0
    there = len(work.runner.ask("status")["processes"])
    work.runner.ask("stop")
    stop_all(work)
    return there


@dataclass
class _Tail:
    """One log as far as it was read; it starts over when the file was rotated away."""

    work: Workspace
    process: str
    shown: redact.Redaction
    inode: int = 0
    at: int = 0
    rest: bytes = b""

    @property
    def path(self) -> str:
        """The file."""
        return os.path.join(self.work.paths.logs, f"{self.process}.log")

    def last(self, count: int) -> None:
        """Emit the last lines, and remember where the file ended."""
        data = self._read(from_end=_BLOCK)
        whole, _, self.rest = data.rpartition(b"\n")
        for line in whole.split(b"\n")[-count:] if whole and count else []:
            self._emit(line.decode("utf-8", "replace"))

    def more(self) -> None:
        """Emit what has come since."""
        *lines, self.rest = (self.rest + self._read()).split(b"\n")
        for line in lines:
            self._emit(line.decode("utf-8", "replace"))

    def _read(self, from_end: int = 0) -> bytes:
        try:
            with open(self.path, "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self.inode:
                    self.inode, self.at = status.st_ino, 0
                if from_end:
                    self.at = max(0, status.st_size - from_end)
                file.seek(self.at)
                data = file.read(_BLOCK)
                self.at = file.tell()
                return data
        except FileNotFoundError:
            return b""

    def _emit(self, line: str) -> None:
        self.work.emit(Output(self.process, self.shown(line)))


def logs(work: Workspace, request: Logs) -> None:
    """Emit the output of the processes; with `follow` until the session ends."""
    current = work.deployments.current()
    stored = work.deployments.load(current) if current else None
    shown = redact.of_deployment(work, stored) if stored else redact.Redaction()
    tails: dict[str, _Tail] = {}
    while True:
        for name in [request.process] if request.process else _logged(work):
            if name not in tails:
                tails[name] = _Tail(work, name, shown)
                tails[name].last(request.lines)
            else:
                tails[name].more()
        if not request.follow or work.ended():
            return
        time.sleep(_LOOK)


def _logged(work: Workspace) -> list[str]:
    """The processes that have a log here, by name; hooks' logs have a number before their name."""
    try:
        names = sorted(os.listdir(work.paths.logs))
    except FileNotFoundError:
        return []
    found = [name[: -len(".log")] for name in names if name.endswith(".log") and not name[0].isdigit()]
    return [name for name in found if name != _OWN]
