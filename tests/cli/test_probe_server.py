"""A real web server on a node, restarted by the deploy: the probe sees what its users would have seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.workbench import Workbench

from mikoshi.cli.touring.ground import free_ports

SHOP = Path(__file__).parent / "restarted"
BODY = """
shared = ["var/"]
vars = {{ PYTHON = {python} }}
restart = '"$PYTHON" restart.py && sleep 0.5 && "$PYTHON" restart.py "$PYTHON" server.py'
[process.web]
listen = {port}
health = {{ path = "/up", within = "20s" }}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[Workbench, str]]:
    """A server on one node, and its address; half a second of each restart nobody listens there."""
    (port,) = free_ports(1)
    bench = Workbench(tmp_path, nodes=("local/a",))
    bench.configure(BODY.format(python=json.dumps(sys.executable), port=port))
    for file in SHOP.glob("*.py"):
        shutil.copy(file, bench.app)
    try:
        yield bench, f"http://127.0.0.1:{port}/up"
    finally:
        environment = {**os.environ, "MIKOSHI_SHARED": str(bench.place("local/a") / "shared")}
        subprocess.run([sys.executable, SHOP / "restart.py"], env=environment, check=True)


def test_the_gap_of_a_restart_is_seen_and_told_apart_from_before_and_after(shop: tuple[Workbench, str]) -> None:
    bench, url = shop
    words = ("deploy", "--probe", url, "--probe-header", "X-Deployment", "--probe-rate", "40", "--json")
    before, during, after = bench.run(*words).event("probed")["phases"]
    assert before["early"] == before["requests"], "nobody is there before a first deployment"
    assert (during["failed"], after["failed"], after["early"]) == ({}, {}, 0)

    bench.write({"news.txt": "a change"})
    report = bench.run(*words).event("probed")
    before, during, after = report["phases"]
    assert (before["failed"], after["failed"]) == ({}, {})
    assert during["failed"]["refused"] >= 10
    assert during["failed"].keys() <= {"refused", "reset", "closed_early"}
    old, new = report["spans"]
    assert (old["deployments"], new["deployments"]) == (["1"], ["2"])
    assert new["begin"] - old["end"] >= 0.5


def test_a_budget_that_the_gap_exceeds_turns_the_deploy_back(shop: tuple[Workbench, str]) -> None:
    bench, url = shop
    bench.run("deploy")
    bench.write({"news.txt": "a change"})
    ran = bench.run("deploy", "--probe", url, "--probe-budget", "2", "--json", code=6)
    assert ran.event("probe_failed")["error"]["facts"]["failed"] == 3
    assert bench.current("local/a") == 1
