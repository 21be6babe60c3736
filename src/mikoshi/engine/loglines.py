"""Lines of the processes' output as values: parsed, merged by time, and told from those that were read before. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

# What node/runner/logs.py writes: time, process.number@deployment, "?" behind it on trial.
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+)\.(\d+)@(\d+)(\??) (.*)", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """One line. `at` in seconds since 1970 by the node's clock; `number` and `seq` 0 where nobody knows them."""

    node: str
    at: float
    process: str
    number: int
    seq: int
    trial: bool
    text: str

    @property
    def origin(self) -> str:
        """Who printed it: "web.1@7", "web.0@8?" on trial."""
        if not self.seq:
            return self.process
        return f"{self.process}.{self.number}@{self.seq}{'?' if self.trial else ''}"


def parse(node: str, process: str, text: str, before: float) -> Line:
    """The line in `text`; one that has no stamp (the runner's own remarks) gets the time `before`."""
    found = _LINE.fullmatch(text)
    if found is None:
        return Line(node, before, process, 0, 0, False, text)
    stamp, name, number, seq, trial, said = found.groups()
    return Line(node, datetime.fromisoformat(stamp).timestamp(), name, int(number), int(seq), bool(trial), said)


def last(lines: Iterable[Line], count: int) -> list[Line]:
    """The last `count` lines of all, by time; those of one process stay in their order."""
    return sorted(lines, key=lambda line: line.at)[-count:] if count > 0 else []


class Novelty(Enum):
    """Whether a line was read before; AFTER_GAP: it is new, and what came right before it may be lost."""

    OLD = "old"
    NEW = "new"
    AFTER_GAP = "after a gap"


@dataclass
class Place:
    """How far one log was read. After `resume` the log's last lines come once more, and those known are OLD.

    A log is written in the order of its stamps; equal ones are counted.
    """

    at: float = 0.0
    equal: int = 0
    _skip: int | None = None
    _skipped: bool = False

    def resume(self) -> None:
        """What comes next begins somewhere in what was read already."""
        self._skip, self._skipped = self.equal, False

    def take(self, at: float) -> Novelty:
        """Read a line with this stamp."""
        if self._skip is not None and self.at:
            if at < self.at or (at == self.at and self._skip):
                self._skip -= at == self.at
                self._skipped = True
                return Novelty.OLD
            gap, self._skip = not self._skipped, None
        else:
            gap = False
        self.at, self.equal = at, self.equal + 1 if at == self.at else 1
        return Novelty.AFTER_GAP if gap else Novelty.NEW


@dataclass
class Places:
    """How far the logs of one node were read, by process."""

    logs: dict[str, Place] = field(default_factory=dict)

    def resume(self) -> None:
        """As Place.resume, for all of them."""
        for place in self.logs.values():
            place.resume()

    def of(self, process: str) -> Place:
        """The place in a process's log."""
        return self.logs.setdefault(process, Place())
