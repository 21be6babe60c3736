"""The end of a deploy on this node: the verdict, the audit trail, and the removal of what need not be kept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mikoshi.core import retention
from mikoshi.core.deployment import DONE, FAILED
from mikoshi.core.errors import NotStaged
from mikoshi.core.messages import Settle
from mikoshi.core.retention import Standing
from mikoshi.node import fleet
from mikoshi.node.files import TEMPORARY
from mikoshi.node.paths import GONE
from mikoshi.node.steps import AttemptEnded, Record, Step, Verdict
from mikoshi.node.workspace import Workspace


def settle(work: Workspace, request: Settle) -> list[int]:
    """Record how the attempt ended and prune; the pruned numbers. Doing it again changes nothing more."""
    if request.outcome in (DONE, FAILED):
        _record_verdict(work, request.seq, request.outcome)
    if request.entry:
        append_history(work, dict(request.entry))
    with work.step(Step.SETTLE, request.seq):
        pruned = prune(work, request.stable, request.keep, request.protect)
        fleet.prune(work.paths, work.files, {request.stable, *request.protect, *work.deployments.seqs()})
        return pruned


def _record_verdict(work: Workspace, seq: int, outcome: str) -> None:
    state = work.journal.state
    records: list[Record] = []
    if state.attempt is not None and state.attempt.seq == seq and not state.ended:
        records.append(AttemptEnded(seq, state.attempt.goal, outcome))
    if seq and state.verdicts.get(seq) != outcome:
        records.append(Verdict(seq, outcome))
    if records:
        work.journal.add(*records)


def append_history(work: Workspace, entry: dict[str, Any]) -> None:
    """One more line of the audit trail, unless it is the last one already."""
    if read_history(work, 1) == [entry]:
        return
    line = json.dumps(entry, separators=(",", ":"), sort_keys=True).encode() + b"\n"
    work.files.append(work.paths.history, b"\n" + line if _is_torn(work.paths.history) else line)


def _is_torn(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            return file.read(1) not in (b"", b"\n")
    except FileNotFoundError:
        return False


def read_history(work: Workspace, limit: int) -> list[dict[str, Any]]:
    """The last `limit` entries, newest last. A torn line is none."""
    entries: list[dict[str, Any]] = []
    try:
        with open(work.paths.history, "rb") as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return []
    for line in reversed(lines):
        if len(entries) >= limit:
            break
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            entries.append(entry)
    return entries[::-1]


def prune(work: Workspace, stable: int, keep: int, protect: tuple[int, ...]) -> list[int]:
    """Remove what retention allows to, and what a crash left behind; the removed numbers, ascending."""
    _remove_leftovers(work)
    verdicts = work.journal.state.verdicts
    standing = [
        Standing(seq, verdicts.get(seq, "") if _is_staged(work, seq) else "") for seq in work.deployments.seqs()
    ]
    current = work.deployments.current()
    seqs = retention.prunable(standing, current, stable, keep, frozenset(protect))
    with _names_may_go(work, current if seqs else 0):
        for seq in seqs:
            work.leases.check()
            _remove(work, seq)
    work.journal.forget(set(seqs))
    return sorted(seqs)


@contextmanager
def _names_may_go(work: Workspace, current: int) -> Iterator[None]:
    """Files of the current tree lose names in here, which changes their ctime: what is known of them stays known."""
    tree = work.deployments.paths(current).tree
    try:
        names = [f"{tree}/{entry.path}" for entry in work.deployments.manifest(current).files()] if current else []
        before = [(path, os.lstat(path)) for path in names]
    except (NotStaged, OSError):
        before = []  # an edited tree: it will be read again
    yield
    for path, status in before:
        with suppress(OSError):  # gone meanwhile: nothing is known of it then
            work.fingerprints.linked(status, os.lstat(path))


def _is_staged(work: Workspace, seq: int) -> bool:
    return os.path.exists(work.deployments.paths(seq).record)


def _remove(work: Workspace, seq: int) -> None:
    """Remove a deployment. It loses its name first: a half-removed tree is never taken for a kept one."""
    root = work.deployments.paths(seq).root
    gone = os.path.join(work.paths.deployments, f"{GONE}{seq}")
    work.files.rename(root, gone)
    work.files.sync_path(work.paths.deployments)
    work.files.remove_tree(gone)
    work.deployments.forget(seq)
    bytecode = work.paths.bytecode(seq)
    if os.path.isdir(bytecode):
        work.files.remove_foreign_tree(bytecode)
    for name in os.listdir(work.paths.logs):
        if name.startswith(f"{seq}-"):
            work.files.unlink(os.path.join(work.paths.logs, name))


def _remove_leftovers(work: Workspace) -> None:
    for name in os.listdir(work.paths.deployments):
        if name.startswith(GONE):
            work.files.remove_tree(os.path.join(work.paths.deployments, name))
    directories = [work.paths.root, work.paths.fleet]
    directories += [work.deployments.paths(seq).root for seq in work.deployments.seqs()]
    for directory in directories:
        for name in os.listdir(directory) if os.path.isdir(directory) else ():
            if name.startswith(TEMPORARY) and not _writer_lives(name):
                work.files.unlink(os.path.join(directory, name))


def _writer_lives(name: str) -> bool:
    """Whether the process that made a temporary file may still be using it."""
    pid = name[len(TEMPORARY) :].partition("-")[0]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
