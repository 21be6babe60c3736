"""What Python 3.9 cannot run is found in a room that must run on it."""

import subprocess
import sys
from pathlib import Path

import pytest
from tools.findings import ROOT

FUTURE = "from __future__ import annotations\n"


def check(directory: Path, source: str) -> subprocess.CompletedProcess[str]:
    (directory / "module.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "tools.check_py39", str(directory)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "source",
    [
        "match 1:\n    case 1: pass",
        "from dataclasses import dataclass\n@dataclass(slots=True)\nclass A: x: int",
        "from itertools import pairwise",
        "from datetime import UTC",
        "zip([], [], strict=True)",
        "try: pass\nexcept* ValueError: pass",
    ],
    ids=["match", "dataclass slots", "pairwise", "UTC", "zip strict", "except star"],
)
def test_newer_grammar_and_library_fail(tmp_path: Path, source: str) -> None:
    run = check(tmp_path, f"{FUTURE}{source}\n")
    assert run.returncode == 1
    assert "3.9" in run.stderr


@pytest.mark.parametrize(
    "source",
    [
        "Event = Started | Ended",
        "Name = str | None",
        "isinstance(x, int | bytes)",
        "def f(x=cast(list[int] | None, 1)): ...",
    ],
)
def test_a_union_at_run_time_fails_with_its_line(tmp_path: Path, source: str) -> None:
    run = check(tmp_path, f"{FUTURE}{source}\n")
    assert run.returncode == 1
    assert "module.py:2:" in run.stderr


def test_annotations_that_are_not_postponed_fail(tmp_path: Path) -> None:
    assert check(tmp_path, "x = 1\n").returncode == 1


def test_what_runs_on_python_39_passes(tmp_path: Path) -> None:
    fine = "def f(x: int | None, *, y: list[A] | None = None) -> A | None: ...\nz: str | None = None\n"
    flags = "import re, os, stat\nre.M | re.S\nos.O_CREAT | os.O_EXCL\nstat.S_IFREG | 0o644\nseen | {1}\n"
    run = check(tmp_path, FUTURE + fine + flags + "'a'.removeprefix('a')\n")
    assert (run.returncode, run.stderr) == (0, "")
