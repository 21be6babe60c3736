"""status, restart and stop over real processes: what is said, what is done, and with which exit code."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kept import Kept, kept
from tests.node.runner.ground import failures, load, until

AWAY = '{ ssh = "nobody@127.0.0.1:1" }'


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path) as made:
        yield made


def status(made: Kept) -> dict[str, dict[str, object]]:
    """`status --json`, by node."""
    return {node["node"]: node for node in json.loads(made.bench.run("status", "--json", code=None).out)["nodes"]}


def with_a_host_away(made: Kept) -> None:
    """A third host that nobody can reach."""
    file = made.bench.app / "mikoshi.toml"
    text = file.read_text()
    file.write_text(text.replace("hosts = [", f"hosts = [{AWAY}, ") + 'anchor = "local/a"\n')


def test_status_shows_each_process_and_one_that_does_not_stay(two: Kept) -> None:
    two.bench.run("status")
    two.configure(process="instances = 2")
    two.deploy("crash-on-demand")
    out = two.bench.run("status").out
    assert "NODE     PROCESS  RUNS  PID" in out
    assert [line.split()[:3] for line in out.splitlines() if " web." in line] == [
        [node, f"web.{number}", "1"] for node in two.nodes for number in (1, 2)
    ]
    assert "ended with" not in out
    two.break_restarts("local/b")
    for pid in two.pids("local/b"):
        os.kill(pid, 9)
    until(lambda: all(row["ends"] >= 2 for row in two.sites["local/b"].ask("status")["processes"]))
    out = two.bench.run("status").out
    assert "  local/b web.1: ended with status 3, " in out
    assert max(len(line) for line in out.splitlines()[3:]) <= 80
    assert {one["process"] for one in status(two)["local/a"]["processes"]} == {"web"}  # type: ignore[attr-defined]


def test_a_restart_has_new_processes_everywhere_and_is_remembered(two: Kept) -> None:
    two.deploy()
    before = {node: two.pids(node) for node in two.nodes}
    with load(two.sites["local/a"]) as counts:
        ran = two.bench.run("restart", "-m", "leaks memory", "--json")
    assert failures(counts) == {}
    assert [event["nodes"] for event in ran.all_events("wave_began")] == [["local/a"], ["local/b"]]
    assert [event["node"] for event in ran.all_events("node_restarted")] == two.nodes
    assert ran.event("command_ended")["outcome"] == "done"
    for node in two.nodes:
        assert not two.pids(node) & before[node]
    for place in ((), ("--local",)):
        last = json.loads(two.bench.run("history", "--json", *place).out)[-1]
        assert (last["verb"], last["message"], last["from"], last["to"]) == ("restart", "leaks memory", 1, 1)


def test_a_restart_stops_at_the_first_failure_and_names_who_was_not_touched(tmp_path: Path) -> None:
    with kept(tmp_path, 3) as made:
        made.configure(rollout="rollout = { first = 1, step = 1 }")
        made.deploy("crash-on-demand")
        made.break_restarts("local/b")
        before = {node: made.pids(node) for node in made.nodes}
        ran = made.bench.run("restart", code=6)
        assert "local/b: web ended with status 3 as it began to serve" in ran.err
        assert "    │ it broke" in ran.err
        assert "restarted: local/a\n" in ran.err
        assert "not touched: local/c\n" in ran.err
        after = {node: made.pids(node) for node in made.nodes}
        assert not after["local/a"] & before["local/a"]
        assert (after["local/b"], after["local/c"]) == (before["local/b"], before["local/c"])
        assert json.loads(made.bench.run("history", "--json").out)[-1]["result"] == "failed"


def test_a_restart_of_one_host_leaves_the_others(two: Kept) -> None:
    two.deploy()
    before = {node: two.pids(node) for node in two.nodes}
    two.bench.run("restart", "--only", "local/b")
    assert two.pids("local/a") == before["local/a"]
    assert not two.pids("local/b") & before["local/b"]
    assert json.loads(two.bench.run("history", "--json").out)[-1]["verb"] == "restart", "the anchor knows of it too"


def test_what_is_stopped_stays_so_until_a_restart(two: Kept) -> None:
    two.configure(process="instances = 2")
    two.deploy()
    ran = two.bench.run("stop", "--yes")
    assert "local/a  ended 2 processes" in ran.out
    assert "stopped until the next deploy or restart" in ran.out
    assert all(node["stopped"] and not node["processes"] for node in status(two).values())
    assert "stopped: `mikoshi restart` starts it" in two.bench.run("status").out
    assert "had no process to end" in two.bench.run("stop", "--yes").out
    two.bench.run("restart")
    assert [len(two.pids(node)) for node in two.nodes] == [2, 2]
    two.bench.run("stop", "--yes", "--only", "local/b")
    two.bench.write({"new": "release"})
    two.bench.run("deploy")
    assert [len(two.pids(node)) for node in two.nodes] == [2, 2]


def test_a_dry_run_of_either_changes_nothing(two: Kept) -> None:
    two.deploy()
    before = {node: two.pids(node) for node in two.nodes}
    assert "local/a: end 1 process (web.1)" in two.bench.run("stop", "--dry-run").out
    assert "wave 2: restart local/b" in two.bench.run("restart", "--dry-run").out
    assert json.loads(two.bench.run("restart", "--dry-run", "--json").out) == {"waves": [["local/a"], ["local/b"]]}
    assert {node: two.pids(node) for node in two.nodes} == before


def test_a_host_out_of_reach_is_named_and_the_others_are_stopped(two: Kept) -> None:
    two.deploy()
    with_a_host_away(two)
    refused = two.bench.run("restart", code=4)
    assert "not restarted everywhere: 127.0.0.1:1" in refused.err
    assert "not touched: local/a, local/b" in refused.err
    ran = two.bench.run("stop", "--yes", code=4)
    assert "stopped: local/a, local/b" in ran.err
    assert "Run the same command again once it is reachable" in ran.err
    assert [len(two.pids(node)) for node in two.nodes] == [0, 0]
    two.bench.run("restart", "--only", "local/a")


def test_another_deployer_keeps_both_out(two: Kept) -> None:
    two.configure(rollout='rollout = { bake = "10m" }')

    def refused(deploying: subprocess.Popen[str]) -> None:
        assert "is held by" in two.bench.run("stop", "--yes", code=3).err
        assert "is held by" in two.bench.run("restart", code=3).err
        deploying.terminate()

    two.bench.run_and(lambda event: event["event"] == "bake_began", refused, "deploy", code=130)


@pytest.mark.parametrize(
    ("verb", "event"), [("restart", "wave_began"), ("restart", "node_restarted"), ("stop", "node_stopped")]
)
def test_killed_in_the_middle_the_same_command_ends_it(two: Kept, verb: str, event: str) -> None:
    two.deploy()
    before = {node: two.pids(node) for node in two.nodes}
    words = (verb, "--yes") if verb == "stop" else (verb,)
    assert two.bench.kill_at(lambda one: one["event"] == event, *words)
    two.bench.run(*words)
    for node in two.nodes:
        assert not two.pids(node) & before[node]
        assert len(two.pids(node)) == (0 if verb == "stop" else 1)


def test_where_nothing_is_kept_nothing_can_be_stopped(two: Kept) -> None:
    assert "nothing runs on local/a, local/b" in two.bench.run("restart", code=2).err
    two.bench.configure('restart = "true"')
    assert "no process that Mikoshi keeps" in two.bench.run("stop", "--yes", code=2).err
    two.bench.configure()
    assert "no process that Mikoshi keeps" in two.bench.run("restart", code=2).err


def test_a_restart_command_of_the_user_s_own_is_run(two: Kept) -> None:
    two.bench.configure('restart = "echo again >> $MIKOSHI_SHARED/restarts; test ! -e $MIKOSHI_SHARED/broken"')
    two.bench.run("deploy")
    two.bench.run("restart")
    assert two.bench.shared("local/a", "restarts") == "again\nagain\n"
    (two.bench.place("local/a") / "shared" / "broken").touch()
    ran = two.bench.run("restart", code=7)
    assert "not touched: local/b" in ran.err


def test_stop_asks_where_it_can_and_refuses_where_it_cannot(two: Kept) -> None:
    two.deploy()
    assert "say --yes where nobody can be asked" in two.bench.run("stop", code=2).err
    before = two.pids("local/a")
    assert answered(two, "n") == 130
    assert answered(two, "") == 130
    assert two.pids("local/a") == before
    assert answered(two, "y") == 0
    assert two.pids("local/a") == set()


def answered(made: Kept, word: str) -> int:
    """The exit code of `stop` on a terminal where somebody answers with this word."""
    own, other = pty.openpty()
    environment = {name: value for name, value in made.bench.environment().items() if name != "CI"}
    command = [*made.bench.program, "-C", str(made.bench.app), "stop"]
    with subprocess.Popen(command, env=environment, stdin=other, stdout=other, stderr=other) as process:
        os.close(other)
        seen = b""
        while b"[y/N]" not in seen:
            assert select.select([own], [], [], 30)[0], seen
            seen += os.read(own, 4096)
        os.write(own, word.encode() + b"\n")
        try:
            while os.read(own, 4096):
                continue
        except OSError:
            pass  # Linux tells the end of a terminal like this
        os.close(own)
        return process.wait(30)
