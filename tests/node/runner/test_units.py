"""The unit: its text as it is written, and a real systemd that starts, restarts and stops it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mikoshi.node.runner.units import unit_name, unit_text
from tests.node.runner import own_cgroups
from tests.node.runner.ground import PROGRAM, free_port

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "cases" / "units"


@pytest.mark.parametrize("user", [False, True], ids=["system", "user"])
def test_the_unit_is_as_it_was_agreed(user: bool) -> None:
    text = unit_text("/srv/mikoshi/shop/production", "/usr/bin/python3", user)
    assert text == (GOLDEN / ("user.service" if user else "system.service")).read_text()


def test_environments_of_one_name_in_different_places_have_different_units() -> None:
    assert unit_name("/srv/mikoshi/shop/production") == "mikoshi-shop-production.service"
    names = {unit_name(f"/{place}/shop/production") for place in ("srv/mikoshi", "opt", "opt/b")}
    assert len(names) == 3


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("user", [False, True], ids=["system", "user"])
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path, user: bool) -> None:
    root = f'{tmp_path}/a path with 100% $odd "characters"/shop/production'
    file = tmp_path / unit_name(root)
    file.write_text(unit_text(root, sys.executable, user))
    command = ["systemd-analyze", "verify", "--man=no", *(["--user"] if user else []), str(file)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    complaints = [line for line in done.stderr.splitlines() if file.name in line]
    assert (done.returncode, complaints) == (0, [])


@pytest.mark.root
@pytest.mark.needs("systemd", "namespaces")
def test_a_real_systemd_keeps_the_holder_and_its_sockets(tmp_path: Path) -> None:
    """A user's systemd, in namespaces of its own; the story is told by `systemd_story.py` in there."""
    port = free_port()
    (tmp_path / "serve.py").write_text(PROGRAM)
    part = f"mikoshi-test-{os.getpid()}"
    command = [sys.executable, "-m", "tests.node.runner.systemd_story", str(tmp_path), str(port), part]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    finally:
        own_cgroups.remove(part)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["enabled"]
    assert told["served"] == [1, 1, 2]
    assert told["failures"] == {}
    assert told["holder_changed"]
    moved = told["moving in"]
    assert (moved["crash refused"], moved["crash serves"]) == ("ProcessEnded", "old")
    assert (moved["crash-in-public refused"], moved["crash-in-public serves"]) == ("ProcessEnded", "old")
    assert (moved[" refused"], moved[" serves"]) == ("", "3")
    assert moved["old"] == ["inactive", "disabled"]
