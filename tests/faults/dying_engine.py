"""An engine that kills itself around one journal record: python -m tests.faults.dying_engine SEQ NAME WHEN.

NAME is a record's kind, with a step or goal after a dot where it has one (`StepBegun.switch`); WHEN is before or after.
"""

from __future__ import annotations

import os
import signal
import sys

from mikoshi.node.files import Files
from mikoshi.node.journal import read_records
from mikoshi.node.main import main
from mikoshi.node.steps import Record


def name_of(record: Record) -> str:
    """A record's kind, and its step, goal or outcome."""
    for detail in ("step", "goal", "outcome"):
        if hasattr(record, detail):
            value = getattr(record, detail)
            return f"{type(record).__name__}.{getattr(value, 'value', value)}"
    return type(record).__name__


class DyingFiles(Files):
    """Dies before or after the record is on the disk."""

    def __init__(self, seq: int, name: str, when: str) -> None:
        self._seq, self._name, self._when = seq, name, when

    def append(self, path: str, data: bytes) -> None:
        """Append, unless this is the moment."""
        fatal = any((record.seq, name_of(record)) == (self._seq, self._name) for record in read_records(data))
        if fatal and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(path, data)
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(DyingFiles(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
