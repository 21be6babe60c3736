"""Activation: the one way to a new deployment, and the way back if it fails after `current` was moved.

A failure before the rename changes nothing that runs. After it the node goes back by itself, deployer or no deployer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Callable

from mikoshi.core.deployment import DONE, FAILED
from mikoshi.core.errors import MikoshiError
from mikoshi.node import machine, orphans
from mikoshi.node.flip import Flip, verify
from mikoshi.node.revert import go_back
from mikoshi.node.steps import ACTIVATE, AttemptBegun, AttemptEnded, Step, Verdict
from mikoshi.node.workspace import Workspace


@dataclass
class ActivationFailed(Exception):
    """An activation failed with `cause`. `restored`: what ran before runs again; if not, `reason` says why."""

    cause: MikoshiError
    current: int
    restored: bool
    reason: str


def activate(work: Workspace, seq: int, previous: int) -> bool:
    """Flip to the staged deployment `seq`; False if it ran already.

    Raises NotStaged and TreeEdited with nothing begun, ActivationFailed otherwise.
    """
    stored = work.deployments.staged(seq)
    verify(work, seq)
    orphans.end(work)
    state = work.journal.state
    settled = not state.under_way(seq, ACTIVATE) and not state.stranded
    if work.deployments.current() == seq and state.verdicts.get(seq) == DONE and settled:
        return False
    boot = machine.boot_id()
    finished = state.finished(seq, ACTIVATE, boot)
    if work.deployments.current() != seq:
        finished -= {Step.SWITCH, Step.SERVE, Step.RESTART, Step.HEALTH}
    if not state.under_way(seq, ACTIVATE):
        work.journal.add(AttemptBegun(seq, ACTIVATE, previous, boot))
    flip = Flip(work, stored, finished)
    steps: list[Callable[[], None]] = [
        partial(flip.hook, Step.BEFORE_ACTIVATE),
        flip.trial,
        flip.switch,
        flip.serve,
        flip.restart,
        flip.health,
        partial(flip.hook, Step.AFTER_ACTIVATE),
    ]
    try:
        for step in steps:
            work.check()
            step()
    except MikoshiError as error:
        raise _failed(work, seq, previous, error) from error
    work.journal.add(Verdict(seq, DONE), AttemptEnded(seq, ACTIVATE, DONE))
    return True


def _failed(work: Workspace, seq: int, previous: int, cause: MikoshiError) -> ActivationFailed:
    """Journal the failure and go back where `current` was moved."""
    work.leases.check()
    work.journal.add(Verdict(seq, FAILED), AttemptEnded(seq, ACTIVATE, FAILED))
    if work.deployments.current() != seq:
        return ActivationFailed(cause, work.deployments.current(), True, "")
    try:
        go_back(work, previous, seq)
    except MikoshiError as error:
        return ActivationFailed(cause, work.deployments.current(), False, str(error))
    return ActivationFailed(cause, work.deployments.current(), True, "")
