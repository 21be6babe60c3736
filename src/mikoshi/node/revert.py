"""The way back to a kept deployment, with the environment it had. No hooks: it was activated once already."""

from __future__ import annotations

from mikoshi.core.deployment import DONE, FAILED
from mikoshi.core.errors import MikoshiError, NotStaged
from mikoshi.node import machine, orphans
from mikoshi.node.flip import Flip, point_current, verify
from mikoshi.node.runner.handover import stop_all
from mikoshi.node.steps import ACTIVATE, REVERT, AttemptBegun, AttemptEnded, Record, Step, Verdict
from mikoshi.node.workspace import Workspace


def revert(work: Workspace, seq: int) -> bool:
    """Go back to the kept deployment `seq` (0: none runs); False if that was so already.

    Raises NotStaged, TreeEdited, and what the restart or the check failed with.
    """
    if seq:
        work.deployments.staged(seq)
        verify(work, seq)
    orphans.end(work)
    if _is_settled(work, seq):
        _close_attempt(work, seq)
        return False
    _go(work, seq)
    return True


def go_back(work: Workspace, previous: int, failed: int) -> None:
    """Leave the deployment that failed for what ran before. An edited tree is noted but not refused: it ran until now.

    Raises NotStaged if `previous` is not kept, and what the restart or the check failed with.
    """
    if previous == failed:
        raise NotStaged(previous)
    if previous:
        work.deployments.staged(previous)
        verify(work, previous, refuse=False)
    _go(work, previous)


def _is_settled(work: Workspace, seq: int) -> bool:
    """Whether `seq` is current and nothing on the way to it was left half done."""
    if work.deployments.current() != seq:
        return False
    state = work.journal.state
    if state.attempt is None or state.attempt.seq != seq:
        return True
    return state.ended and state.outcome == DONE


def _close_attempt(work: Workspace, seq: int) -> None:
    """An interrupted attempt for another deployment is over: it failed."""
    records = _abandoned(work, seq)
    if records:
        work.journal.add(*records)


def _abandoned(work: Workspace, seq: int) -> list[Record]:
    state = work.journal.state
    if state.ended or state.attempt is None or state.attempt.seq == seq:
        return []
    ended: list[Record] = [AttemptEnded(state.attempt.seq, state.attempt.goal, FAILED)]
    if state.attempt.goal == ACTIVATE:
        ended.insert(0, Verdict(state.attempt.seq, FAILED))
    return ended


def _left(work: Workspace, seq: int) -> list[Record]:
    """What is left for `seq` did not stay. A deployer that dies before it can say so must not find it good."""
    left = work.deployments.current()
    known = left in (0, seq) or work.journal.state.verdicts.get(left) == FAILED
    return [] if known else [Verdict(left, FAILED)]


def _go(work: Workspace, seq: int) -> None:
    boot = machine.boot_id()
    finished = work.journal.state.finished(seq, REVERT, boot)
    if not work.journal.state.under_way(seq, REVERT):
        work.journal.add(*_abandoned(work, seq), *_left(work, seq), AttemptBegun(seq, REVERT, 0, boot))
    try:
        if seq == 0:
            with work.step(Step.SWITCH, 0):
                point_current(work, 0)
            with work.step(Step.SERVE, 0):
                stop_all(work)
        else:
            flip = Flip(work, work.deployments.staged(seq), finished)
            for step in (flip.switch, flip.serve, flip.restart, flip.health):
                work.leases.check()
                step()
    except MikoshiError:
        work.journal.add(AttemptEnded(seq, REVERT, FAILED))
        raise
    work.journal.add(AttemptEnded(seq, REVERT, DONE))
