"""The last lines of `make test`: what this machine could not run, and how to run it.

Usage: python -m tools.not_run FILE, where each line of FILE is the reason of one test that was not run.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path


def render(reasons: list[str]) -> list[str]:
    """The report's lines for the reasons of the tests that were not run."""
    counted = sorted(Counter(reasons).items())
    if not counted:
        return ["No test was skipped. Long runs are apart: `make soak`."]
    lines = [f"  {count} test{'s' if count > 1 else ''}: {reason}" for reason, count in counted]
    return ["Not run on this machine:", *lines, "  long runs: `make soak`"]


def main() -> int:
    """Print the report for the file named on the command line; no file means no reasons."""
    path = Path(sys.argv[1])
    reasons = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    print("\n".join(render(reasons)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
