"""The deployer is killed -9 at each kind of event of its own union; the same command must go on from there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mikoshi.core.events import EVENTS, event_name
from tests.workbench import Workbench

HOOK = """
hooks.before_activate = "echo $MIKOSHI_SEQ >> $MIKOSHI_SHARED/hook.log; test $MIKOSHI_SEQ -lt ${FAIL:-999}"
rollout = { first = 1, step = 1, bake = "20ms" }
"""
GOOD = {
    "command_began", "packed", "node_reached", "attempt_began", "stage_began", "stage_progress", "stage_ended",
    "wave_began", "step_began", "node_flipped", "bake_began", "command_ended",
}  # fmt: skip
BAD = {"node_failed", "revert_began", "node_reverted"}
# Nothing of a deployment has begun by then, or the event is told by other tests' faults.
ELSEWHERE = {
    "build_began", "build_output", "note", "node_lost", "node_output", "node_restarted", "node_stopped", "probe_began",
    "probe_failed", "probed",
}  # fmt: skip
NODES = ("local/a", "local/b", "local/c")


def bench_with(root: Path, fail: int) -> Workbench:
    bench = Workbench(root)
    hosts = f'"local/a", "local/b", {{ ssh = "local/c", vars = {{ FAIL = "{fail}" }} }}'
    bench.configure(HOOK, hosts)
    bench.write({"version.txt": "one", "copy/version.txt": "one"})
    bench.run("deploy")
    bench.write({"version.txt": "two", "copy/version.txt": "two"})
    return bench


def is_kind(name: str, last: bool) -> Any:
    """A predicate for the first event of that name, or (roughly the last) the one of the third node."""

    def wanted(event: dict[str, Any]) -> bool:
        nodes = event.get("nodes") or [event.get("node", "local/c")]
        return bool(event["event"] == name and (not last or "local/c" in nodes))

    return wanted


def assert_no_mixture(bench: Workbench) -> None:
    for node in NODES:
        pair = {bench.content(node, "version.txt"), bench.content(node, "copy/version.txt")}
        assert pair in ({"one"}, {"two"}), f"{node} mixes two deployments: {pair}"


def test_every_event_has_its_kill_case() -> None:
    assert {event_name(kind) for kind in EVENTS} == GOOD | BAD | ELSEWHERE


@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_killed_deploy_goes_on_and_runs_no_finished_step_again(tmp_path: Path, name: str, last: bool) -> None:
    bench = bench_with(tmp_path, fail=99)
    seen = bench.kill_at(is_kind(name, last), "deploy")
    assert seen or (last and name in ("stage_progress", "wave_began")), "the event never came"
    assert_no_mixture(bench)
    bench.run("deploy")
    for node in NODES:
        assert bench.content(node, "version.txt") == "two"
        assert bench.current(node) == 2
        assert bench.shared(node, "hook.log").split() == ["1", "2"], "a finished hook ran again"
    assert "nothing to do" in bench.run("deploy").out


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_deploy_killed_while_it_goes_back_ends_where_it_began(tmp_path: Path, name: str) -> None:
    bench = bench_with(tmp_path, fail=2)
    assert bench.kill_at(is_kind(name, last=False), "deploy"), "the event never came"
    assert_no_mixture(bench)
    bench.run("deploy", code=6)
    for node in NODES:
        assert bench.content(node, "version.txt") == "one"
        assert bench.current(node) == 1
    bench.configure(HOOK)
    bench.run("deploy")
    assert {bench.content(node, "version.txt") for node in NODES} == {"two"}


@pytest.mark.parametrize("name", ["stage_ended", "node_flipped", "revert_began"])
def test_a_rollback_gives_up_a_killed_deploy_at_any_point(tmp_path: Path, name: str) -> None:
    bench = bench_with(tmp_path, fail=2 if name in BAD else 99)
    assert bench.kill_at(is_kind(name, last=False), "deploy"), "the event never came"
    bench.run("rollback")
    for node in NODES:
        assert bench.content(node, "version.txt") == "one"
    status = bench.run("status", "--json").events[0]
    assert status["unfinished"] is None
    assert status["stable"]["seq"] == 1
