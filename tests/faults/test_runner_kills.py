"""The runner and the holder are killed at every point of a hand-over, under load: one deployment serves afterwards."""

from __future__ import annotations

import itertools
import os
import signal
import sys

import pytest

from mikoshi.node.runner.processes import started
from mikoshi.node.runner.service import REQUESTS
from tests.node.client import Engine
from tests.node.runner.ground import Site, application, failures, load, until

PHASES = ("hello", "listen", "trial", "result", "end", "want", "status", "drain")
APART = {"replace", "restart", "return", "stop"}  # no part of a hand-over; their tests are elsewhere
WHEN = ("before", "during", "after")


def test_every_request_has_a_case() -> None:
    assert {*PHASES, *APART} == set(REQUESTS)


@pytest.mark.parametrize(("phase", "when"), list(itertools.product(PHASES, WHEN)))
def test_a_runner_that_is_killed_in_a_hand_over_is_not_missed(site: Site, phase: str, when: str) -> None:
    site.deploy()
    with load(site, threads=2) as counts:
        with Engine((sys.executable, "-X", "utf8", "-m", "tests.faults.runner_killer", phase, when)) as engine:
            engine.begin(site.base)
            engine.deploy(2, application(), 1, site.settings())
        until(lambda: counts["2"])
    assert failures(counts) == {}
    assert site.serving() == 2
    until(lambda: [row["seq"] for row in site.ask("status")["processes"]] == [2])


def test_a_runner_that_is_killed_at_rest_comes_back_and_keeps_every_process(site: Site) -> None:
    site.deploy(settings=site.settings(instances=2))
    before = {row["pid"] for row in site.processes()}
    with load(site) as counts:
        for _ in range(3):
            killed = site.ask("hello")["pid"]
            os.kill(killed, signal.SIGKILL)
            until(lambda: site.ask("hello")["pid"] != killed)  # noqa: B023 - asked before the next round
    assert failures(counts) == {}
    assert {row["pid"] for row in site.processes()} == before


def test_a_process_that_ends_while_no_runner_is_there_is_started_again(site: Site) -> None:
    site.deploy()
    (row,) = site.processes()
    os.kill(site.ask("hello")["pid"], signal.SIGSTOP)
    os.kill(row["pid"], signal.SIGKILL)
    os.kill(int((site.root / "run" / "runner.pid").read_text()), signal.SIGKILL)
    until(lambda: [one["pid"] for one in site.processes() if one["pid"] != row["pid"]])
    assert site.serving() == 1


def test_without_a_holder_requests_are_answered_and_another_one_takes_over(site: Site) -> None:
    site.deploy()
    (row,) = site.processes()
    with load(site) as counts:
        holder = site.ask("hello")["holder"]
        os.kill(holder, signal.SIGKILL)
        until(lambda: site.ask("hello")["holder"] != holder)
        # The old process goes on until the new one has stood; what is lost is how it ended.
        until(lambda: [one["pid"] for one in site.processes()] not in ([row["pid"]], []))
        site.deploy()
    assert failures(counts) == {}
    assert [one["seq"] for one in site.ask("status")["processes"]] == [2]
    until(lambda: not started(row["pid"]))


def test_without_both_processes_go_on_and_the_next_command_finds_them(site: Site) -> None:
    site.deploy()
    (row,) = site.processes()
    hello = site.ask("hello")
    os.kill(hello["pid"], signal.SIGSTOP)
    for name in ("holder", "pid"):
        os.kill(hello[name], signal.SIGKILL)
    until(lambda: not any(started(hello[name]) for name in ("holder", "pid")))
    assert site.serving() == 1
    with load(site) as counts:
        site.deploy()
        until(lambda: counts["2"])
    assert failures(counts) == {}
    until(lambda: not started(row["pid"]))
    assert [one["seq"] for one in site.ask("status")["processes"]] == [2]


def test_a_holder_that_is_killed_while_everything_ends_keeps_nothing_alive(site: Site) -> None:
    site.deploy("ignore", site.settings(stop={"signal": "TERM", "within": 1.5}))
    holder = site.ask("hello")["holder"]
    os.kill(holder, signal.SIGTERM)
    until(lambda: site.processes("stopping"))
    os.kill(holder, signal.SIGKILL)
    until(lambda: not site.left())
