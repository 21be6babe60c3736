"""The journal: what the engine began and ended, one synced line each. It decides where a killed engine goes on.

Append-only; a line that a crash tore is no line. Compaction keeps what `State` is made of, in one rename.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from mikoshi.core.deployment import FAILED
from mikoshi.node.files import Files
from mikoshi.node.steps import (
    ACTIVATE,
    REVERT,
    AttemptBegun,
    AttemptEnded,
    Record,
    Step,
    StepBegun,
    StepEnded,
    TreeFoundEdited,
    TreeRepaired,
    Verdict,
    record_from_json,
    record_to_json,
)  # fmt: skip

COMPACT_ABOVE = 256 << 10


@dataclass
class State:
    """What the journal's records amount to.

    `attempt` is the last one begun, `ended` whether it ended, `steps` the results of its steps. `open_step` was begun
    and never ended.
    """

    verdicts: dict[int, str] = field(default_factory=dict)
    edited: dict[int, list[str]] = field(default_factory=dict)
    attempt: AttemptBegun | None = None
    ended: bool = True
    outcome: str = ""
    steps: list[StepEnded] = field(default_factory=list)
    open_step: StepBegun | None = None
    highest_seq: int = 0

    def add(self, record: Record) -> None:
        """Take one more record into account."""
        self.highest_seq = max(self.highest_seq, record.seq)
        if isinstance(record, AttemptBegun):
            self.attempt, self.ended, self.steps, self.open_step = record, False, [], None
            if record.goal == ACTIVATE:
                self.verdicts[record.seq] = "running"
        elif isinstance(record, AttemptEnded):
            self.ended, self.outcome, self.open_step = True, record.outcome, None
        elif isinstance(record, StepBegun):
            self.open_step = record
        elif isinstance(record, StepEnded):
            self.open_step = None
            self.steps.append(record)
        elif isinstance(record, Verdict):
            if record.outcome:
                self.verdicts[record.seq] = record.outcome
        elif isinstance(record, TreeFoundEdited):
            self.edited[record.seq] = list(record.paths)
        elif isinstance(record, TreeRepaired):
            self.edited.pop(record.seq, None)

    def under_way(self, seq: int, goal: str) -> bool:
        """Whether the last attempt was for `seq`, with this goal, and did not end."""
        return not self.ended and self.attempt is not None and (self.attempt.seq, self.attempt.goal) == (seq, goal)

    @property
    def interrupted(self) -> str:
        """The step that was begun and never ended; between steps the goal of the attempt; else "".

        A way back that failed counts as interrupted: `current` may be right, but nobody saw what it leads to run.
        """
        if self.open_step is not None:
            return self.open_step.step.value
        if self.attempt is None:
            return ""
        return self.attempt.goal if self.stranded or not self.ended else ""

    @property
    def stranded(self) -> bool:
        """Whether the last thing tried was a way back, and it failed."""
        return self.ended and self.attempt is not None and self.attempt.goal == REVERT and self.outcome == FAILED

    def finished(self, seq: int, goal: str, boot_id: str) -> set[Step]:
        """The steps that need not be done again on the way to `seq`.

        Only those of an attempt that was interrupted; what starts or watches processes does not outlive a boot.
        """
        if not self.under_way(seq, goal):
            return set()
        lasting = {Step.BEFORE_ACTIVATE, Step.AFTER_ACTIVATE}
        done = {end.step for end in self.steps if end.ok and (end.boot_id == boot_id or end.step in lasting)}
        if self.open_step is not None and self.open_step.step is Step.HEALTH:
            done.discard(Step.RESTART)
        return done

    def records(self) -> list[Record]:
        """The fewest records that amount to this state; an empty verdict remembers the highest number."""
        kept: list[Record] = [
            Verdict(seq, outcome) for seq, outcome in sorted({self.highest_seq: "", **self.verdicts}.items())
        ]
        kept += [TreeFoundEdited(seq, tuple(paths)) for seq, paths in sorted(self.edited.items())]
        if self.attempt is not None:
            kept.append(self.attempt)
            kept += self.steps
            if self.ended:
                kept.append(AttemptEnded(self.attempt.seq, self.attempt.goal, self.outcome))
            if self.attempt.seq in self.verdicts:
                kept.append(Verdict(self.attempt.seq, self.verdicts[self.attempt.seq]))
        if self.open_step is not None:
            kept.append(self.open_step)
        return kept


def read_records(data: bytes) -> list[Record]:
    """The records in a journal's bytes; lines that are torn or unknown are left out."""
    found = []
    for line in data.split(b"\n"):
        try:
            found.append(record_from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


class Journal:
    """The journal of one environment. Only the holder of the lease writes to it."""

    def __init__(self, path: str, files: Files) -> None:
        self._path, self._files = path, files
        self.state = State()
        data = self._read()
        for record in read_records(data):
            self.state.add(record)
        self._torn = bool(data) and not data.endswith(b"\n")
        self._size = len(data)

    def _read(self) -> bytes:
        try:
            with open(self._path, "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return b""

    def add(self, *records: Record) -> None:
        """Write records down; returns when they are on the disk."""
        lines = b"".join(_line(record) for record in records)
        if self._torn:
            lines, self._torn = b"\n" + lines, False
        self._files.append(self._path, lines)
        self._size += len(lines)
        for record in records:
            self.state.add(record)
        if self._size > COMPACT_ABOVE:
            self.compact()

    def compact(self) -> None:
        """Rewrite the journal with the records that still matter."""
        data = b"".join(_line(record) for record in self.state.records())
        self._files.replace(self._path, data)
        self._size = len(data)

    def forget(self, seqs: set[int]) -> None:
        """Leave pruned deployments out of the next compaction."""
        for seq in seqs:
            self.state.verdicts.pop(seq, None)
            self.state.edited.pop(seq, None)


def _line(record: Record) -> bytes:
    return json.dumps(record_to_json(record), separators=(",", ":")).encode() + b"\n"
