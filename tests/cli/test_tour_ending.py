"""How the tour ends what runs on its nodes: real runners and engines, at the moments at which a tour may be killed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.node.client import Engine
from tests.node.runner.ground import Site, until

from mikoshi.cli.touring import ending
from mikoshi.cli.touring.ending import NotEnded, end_all
from mikoshi.node.runner import launch


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A node with a deployment that serves; whatever the test found, nothing is left."""
    made = Site(tmp_path)
    made.deploy()
    try:
        yield made
    finally:
        made.close()


def code(site: Site) -> str:
    """The runner's sources on the node."""
    return os.path.realpath(site.root / "runner" / "now")


def test_nothing_is_left_and_what_ran_is_counted(site: Site) -> None:
    nothing = site.base / "nothing"
    nothing.mkdir()
    assert end_all([site.root, nothing]) == 1
    assert site.left() == []
    assert end_all([site.root]) == 0


def test_a_runner_that_begins_after_the_end_does_not_stay(site: Site) -> None:
    """An engine that a killed tour left may have been about to start it."""
    end_all([site.root])
    launch.daemonize(str(site.root), code(site))
    until(lambda: "has the mark `closed`" in (site.root / "log" / "runner.err").read_text())
    until(lambda: not site.left())


def test_runners_that_begin_while_it_is_ended_do_not_stay(site: Site) -> None:
    for _ in range(3):
        launch.daemonize(str(site.root), code(site))
    end_all([site.root])
    for _ in range(3):
        launch.daemonize(str(site.root), code(site))
    until(lambda: not site.left())
    end_all([site.root])


def test_an_engine_at_work_is_ended_before_its_runner(site: Site) -> None:
    engine = Engine()
    try:
        engine.begin(site.base)
        end_all([site.root])
        assert engine.process.wait(10) == -signal.SIGKILL
    finally:
        engine.close()
    assert site.left() == []


def test_the_runner_that_takes_a_killed_holder_s_place_is_ended_too(site: Site) -> None:
    os.kill(site.ask("hello")["holder"], signal.SIGKILL)
    end_all([site.root])
    until(lambda: not site.left())


def test_what_a_holder_and_a_runner_left_that_were_killed_together_is_ended(site: Site) -> None:
    hello = site.ask("hello")
    os.kill(hello["pid"], signal.SIGSTOP)
    os.kill(hello["holder"], signal.SIGKILL)
    os.kill(hello["pid"], signal.SIGKILL)
    assert site.serving() == 1
    end_all([site.root])
    assert site.left() == []


def test_a_number_that_is_not_the_lock_s_holder_is_not_signalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_LIMIT", 0.2)
    (tmp_path / "run").mkdir()
    with subprocess.Popen(["sleep", "60"]) as stranger, (tmp_path / "run" / "holder.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.write(f"{stranger.pid}\n")
            lock.flush()
            with pytest.raises(NotEnded, match=str(tmp_path)):
                end_all([tmp_path])
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_process_that_only_has_the_number_of_a_noted_one_is_not_killed(site: Site) -> None:
    end_all([site.root])
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        try:
            noted = {"boot_id": boot, "children": [{"pid": stranger.pid, "started": 1}]}
            (site.root / "run" / "processes").write_text(json.dumps(noted))
            end_all([site.root])
            assert stranger.poll() is None
        finally:
            stranger.kill()
