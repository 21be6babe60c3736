"""The steps between two deployments, each journalled and each safe to do again: commands, the rename, the checks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mikoshi.core.errors import HealthFailed
from mikoshi.node import health, processes
from mikoshi.node.deployments import Stored
from mikoshi.node.redact import of_deployment
from mikoshi.node.runner.handover import Handover, has_runner, stop_all
from mikoshi.node.steps import Step, TreeFoundEdited, TreeRepaired
from mikoshi.node.verify import differences, edited
from mikoshi.node.workspace import Workspace


def verify(work: Workspace, seq: int, refuse: bool = True) -> None:
    """Compare the whole tree with its manifest; what was found is journalled. Raises TreeEdited if it is to refuse."""
    found = differences(work.deployments.layout(seq), work.deployments.paths(seq).tree, work.fingerprints)
    known = seq in work.journal.state.edited
    if found:
        error = edited(found, seq)
        if work.journal.state.edited.get(seq) != error.paths:
            work.journal.add(TreeFoundEdited(seq, tuple(error.paths)))
        if refuse:
            raise error
    elif known:
        work.journal.add(TreeRepaired(seq))


class Flip:
    """The steps to one deployment. `finished` need not be done again."""

    def __init__(self, work: Workspace, stored: Stored, finished: set[Step]) -> None:
        self._work, self._stored, self._finished = work, stored, finished

    def command(self, step: Step, given: Mapping[str, Any] | None) -> None:
        """Run a hook or the restart command, if there is one."""
        if not given or not given.get("run") or step in self._finished:
            return
        work, seq = self._work, self._stored.seq
        with work.step(step, seq):
            tree, shown = work.deployments.paths(seq).tree, of_deployment(work, self._stored)
            command = processes.Command(step.value, str(given["run"]), float(given["within"]), seq, tree, shown)
            processes.run(work, command)

    def hook(self, step: Step) -> None:
        """Run the hook with the step's name."""
        self.command(step, self._stored.settings.hooks.get(step.value))

    def restart(self) -> None:
        """Run the restart command."""
        self.command(Step.RESTART, self._stored.settings.restart)

    def switch(self) -> None:
        """Let `current` lead to this deployment."""
        work, seq = self._work, self._stored.seq
        if work.deployments.current() == seq and Step.SWITCH in self._finished:
            return
        with work.step(Step.SWITCH, seq):
            point_current(work, seq)

    def trial(self) -> None:
        """Prove the processes that the runner is to keep, where no request from outside can reach them."""
        if has_runner(self._stored) and Step.TRIAL not in self._finished:
            with self._work.step(Step.TRIAL, self._stored.seq):
                Handover(self._work, self._stored).trial()

    def serve(self) -> None:
        """Let the runner's new generation serve and the old one finish; without one, end what a runner still has."""
        if Step.SERVE in self._finished:
            return
        if has_runner(self._stored):
            with self._work.step(Step.SERVE, self._stored.seq):
                Handover(self._work, self._stored).serve()
        elif self._work.runner.running:
            with self._work.step(Step.SERVE, self._stored.seq):
                stop_all(self._work)

    def health(self) -> None:
        """Wait until every process that listens is healthy. Raises HealthFailed with the restart's last lines."""
        checks = health.checks_of(self._stored.settings)
        if not checks or has_runner(self._stored) or Step.HEALTH in self._finished:
            return
        with self._work.step(Step.HEALTH, self._stored.seq):
            check_health(self._work, self._stored)


def check_health(work: Workspace, stored: Stored) -> None:
    """Wait for every process that listens. Raises HealthFailed with the restart's last lines, and ProcessEnded for
    a process of the runner's that did not stay."""
    if has_runner(stored):
        Handover(work, stored).watch()
    for check in health.checks_of(stored.settings):
        try:
            health.wait_healthy(check, [])
        except HealthFailed as error:
            log = processes.log_path(work, stored.seq, Step.RESTART.value)
            error.lines = processes.tail(log, of_deployment(work, stored))
            raise


def point_current(work: Workspace, seq: int) -> None:
    """Switch `current` by one rename; 0 removes it. Durable when it returns."""
    files, current = work.files, work.paths.current
    if seq == 0:
        files.discard(current)
    else:
        temporary = files.temporary(current)
        files.discard(temporary)
        files.symlink(os.path.join("deployments", str(seq), "tree"), temporary)
        files.rename(temporary, current)
    files.sync_path(work.paths.root)
