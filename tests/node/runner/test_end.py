"""The end of a runner: whenever it is asked for, nothing is left, and a closed place begins nothing."""

from __future__ import annotations

import os
import signal

import pytest

from mikoshi.core.errors import RunnerUnavailable
from mikoshi.node.files import Files
from mikoshi.node.runner import units
from mikoshi.node.runner.client import Runner
from tests.node.runner.ground import Site, until


def holder(site: Site) -> int:
    """The pid in the lock; 0 for none."""
    return int((site.root / "run" / "holder.lock").read_text() or 0)


def kill_holder(site: Site) -> int:
    """Kill the holder; the pid of the one that takes its place."""
    before = holder(site)
    os.kill(before, signal.SIGKILL)
    until(lambda: holder(site) not in (0, before))
    return holder(site)


def test_a_holder_that_took_another_s_place_can_be_ended_at_once(site: Site) -> None:
    site.deploy()
    kill_holder(site)
    until(lambda: len(site.processes()) > 1 or site.processes()[0]["generation"])
    os.kill(site.ask("hello")["holder"], signal.SIGTERM)
    until(lambda: not site.left())


def test_a_closed_place_begins_no_holder_and_says_why(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.deploy()
    (site.root / "closed").touch()
    os.kill(holder(site), signal.SIGTERM)
    until(lambda: not site.left())
    monkeypatch.setattr("mikoshi.node.runner.client._APPEARS", 1.0)
    with pytest.raises(RunnerUnavailable, match="has the mark `closed`"):
        Runner(str(site.root), Files()).ensure()
    until(lambda: not site.left())


def test_in_a_closed_place_a_holder_s_heir_ends_what_is_left(site: Site) -> None:
    site.deploy()
    (site.root / "closed").touch()
    assert site.serving() == 1
    os.kill(holder(site), signal.SIGKILL)
    until(lambda: not site.left())


def test_an_engine_can_be_told_to_leave_systemd_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "exists", lambda _path: True)
    assert units.manager() is not None
    monkeypatch.setenv(units.WITHOUT, "1")
    assert units.manager() is None
