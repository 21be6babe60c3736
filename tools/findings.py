"""What a check found, where, and how it is printed: one line each, in the form editors jump to."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong: the file (relative to the repository), its line (from 1) and a sentence."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def report(findings: Iterable[Finding]) -> int:
    """Print findings in order, each once, to standard error; return the exit code: 1 if there were any."""
    ordered = sorted(set(findings))
    for finding in ordered:
        print(finding, file=sys.stderr)
    return 1 if ordered else 0


def relative(root: Path, path: Path) -> str:
    """A path as findings show it."""
    return path.relative_to(root).as_posix()
