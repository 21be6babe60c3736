"""A connection is cut, or a node's engine killed -9, at each kind of event of a deploy; the same command goes on.

The events are those of the engine's own union: one without a case fails the suite.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest

from mikoshi.core.events import EVENTS, event_name
from mikoshi.testing.hosts import Host
from tests.system.bench import SshBench, at, cut, kill_engine
from tests.workbench import Ran

pytestmark = [pytest.mark.root, pytest.mark.needs("sshd", "namespaces")]

BODY = """shared = ["log/"]
hooks = { before_activate = "echo hook; echo $MIKOSHI_SEQ >> $MIKOSHI_SHARED/log/hooks; test \\"$FAIL\\" != yes" }
restart = "sleep 0.2"
rollout = { first = 1, step = 1, bake = "20ms" }"""
# Each event with the host (by its place among the three) whose connection ends there. 0 is the anchor.
GOOD = {
    "node_reached": 1, "attempt_began": 0, "stage_began": 2, "stage_progress": 1, "stage_ended": 2, "wave_began": 0,
    "step_began": 1, "node_output": 2, "node_flipped": 1, "bake_began": 0,
}  # fmt: skip
BAD = {"node_failed": 2, "revert_began": 0, "node_reverted": 0}
# The hook may be under way by then: with its engine gone nobody knows how it ended, and it runs again.
IN_HOOK = {"wave_began", "step_began", "node_output"}
# No node takes part by then, or nothing of the deployment is left to be done.
ELSEWHERE = {
    "command_began", "build_began", "build_output", "packed", "note", "node_lost", "command_ended", "node_restarted",
    "node_stopped", "probe_began", "probe_failed", "probed",
}  # fmt: skip


@pytest.fixture(scope="module")
def shared_bench(trio: list[Host], tmp_path_factory: pytest.TempPathFactory) -> SshBench:
    """One application for the whole module: each test deploys the next version of it."""
    bench = SshBench(tmp_path_factory.mktemp("running"), name="steady", hosts=trio)
    bench.write({"version.txt": "0", "copy/version.txt": "0"})
    return bench


@pytest.fixture
def running(shared_bench: SshBench) -> SshBench:
    """The application, running in one version on all hosts whatever the test before this one left."""
    configure(shared_bench)
    if not shared_bench.place(shared_bench.nodes[0]).exists() or len(set(shared_bench.contents().values())) > 1:
        shared_bench.run("deploy")
    return shared_bench


def configure(bench: SshBench, fail: bool = False) -> None:
    last = f'{{ ssh = "{bench.nodes[2]}", vars = {{ FAIL = "{"yes" if fail else "no"}" }} }}'
    bench.configure(BODY, f'"{bench.nodes[0]}", "{bench.nodes[1]}", {last}')


def next_version(bench: SshBench) -> tuple[dict[str, str], str]:
    """What runs, and the version that is written to be deployed next."""
    before = bench.contents()
    version = str(1 + int((bench.app / "version.txt").read_text()))
    bench.write({"version.txt": version, "copy/version.txt": version})
    return before, version


def assert_whole(bench: SshBench, before: dict[str, str], version: str) -> None:
    """Every node runs the old or the new version and nothing in between, and holds no lease."""
    after = bench.contents()
    assert after == bench.contents("copy/version.txt"), "two deployments are mixed"
    assert all(after[node] in (before[node], version) for node in bench.nodes), after


def assert_told(bench: SshBench, ran: Ran, victim: str) -> None:
    """The message names the host, and says what to do."""
    assert ran.code in (0, 4, 6, 7), ran.err
    if ran.code:
        assert victim in ran.err, ran.err
        assert re.search("[Rr]un the same command again|Mend", ran.err), ran.err


def hooks_run(bench: SshBench) -> dict[str, Counter[str]]:
    """How often each node ran the hook, by deployment."""
    return {node: Counter(bench.shared(node, "log/hooks").split()) for node in bench.nodes}


def assert_no_hook_ran_twice(bench: SshBench, before: dict[str, Counter[str]], allowed: int = 1) -> None:
    for node, counts in hooks_run(bench).items():
        assert max((counts - before[node]).values(), default=0) <= allowed, (
            f"{node} ran a finished hook again: {counts}"
        )


def test_every_event_has_its_case() -> None:
    assert {event_name(kind) for kind in EVENTS} == {*GOOD, *BAD, *ELSEWHERE}


@pytest.mark.parametrize("harm", [cut, kill_engine], ids=["connection", "engine"])
@pytest.mark.parametrize("name", GOOD)
def test_a_deploy_that_lost_a_node_goes_on(running: SshBench, name: str, harm: Callable[[Host], None]) -> None:
    before, version = next_version(running)
    hooks = hooks_run(running)
    victim = running.nodes[GOOD[name]]
    wanted = at(name, "" if name == "attempt_began" else victim) if name != "bake_began" else at(name)
    ran = running.run_and(wanted, lambda _: harm(running.host(victim)), "deploy")
    assert_told(running, ran, victim)
    assert_whole(running, before, version)
    running.run("deploy")
    assert set(running.contents().values()) == {version}
    assert [running.holder(node) for node in running.nodes] == ["", "", ""]
    assert_no_hook_ran_twice(running, hooks, 2 if harm is kill_engine and name in IN_HOOK else 1)


@pytest.mark.parametrize("harm", [cut, kill_engine], ids=["connection", "engine"])
@pytest.mark.parametrize("name", BAD)
def test_a_revert_that_lost_a_node_ends_where_it_began(
    running: SshBench, name: str, harm: Callable[[Host], None]
) -> None:
    before, version = next_version(running)
    hooks = hooks_run(running)
    configure(running, fail=True)
    victim = running.nodes[BAD[name]]
    ran = running.run_and(at(name), lambda _: harm(running.host(victim)), "deploy")
    assert ran.code in (6, 7), ran.err
    assert_whole(running, before, version)
    if ran.code == 6:
        assert running.contents() == before
    configure(running)
    running.run("deploy")
    assert set(running.contents().values()) == {version}
    assert_no_hook_ran_twice(running, hooks)
