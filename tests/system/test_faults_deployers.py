"""Two deployers at once, one that sleeps too long, one that is stopped, and one whose clock jumps."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.system.bench import SshBench, at
from tests.workbench import Ran

pytestmark = [pytest.mark.root, pytest.mark.needs("sshd", "namespaces")]

SLOW = 'hooks = { before_activate = "sleep 0.3" }\nrollout = { first = 1, step = 1 }'
NOTHING_HELD = ["", "", ""]
DAY = 86400


def deployed(bench: SshBench, body: str = SLOW) -> SshBench:
    """The bench with version `one` running, and `two` about to be deployed."""
    bench.configure(body)
    bench.write({"version.txt": "one"})
    bench.run("deploy")
    bench.write({"version.txt": "two"})
    return bench


def holders(bench: SshBench) -> list[str]:
    return [bench.holder(node) for node in bench.nodes]


def test_a_second_deployer_is_told_who_is_at_work_and_disturbs_nobody(bench: SshBench) -> None:
    deployed(bench)
    bench.env["MIKOSHI_BY"] = "alice@desk"
    seconds: list[Ran] = []

    def deploy_too(_: object) -> None:
        bench.env["MIKOSHI_BY"] = "bob@laptop"
        seconds.append(bench.run("deploy", "-m", "mine", code=3))
        seconds.append(bench.run("rollback", code=3))

    bench.configure(SLOW.replace("0.3", "2"))
    ran = bench.run_and(at("step_began", step="before_activate"), deploy_too, "deploy", "-m", "the spring sale", code=0)
    for second in seconds:
        assert "is held by alice@desk (the spring sale)" in second.err
        assert any(node in second.err for node in bench.nodes)
        assert "Nothing was changed. Wait until that deploy has ended" in second.err
    assert not ran.all_events("node_failed")
    assert bench.contents() == dict.fromkeys(bench.nodes, "two")
    assert holders(bench) == NOTHING_HELD


def expire_leases(bench: SshBench) -> None:
    """Let the leases' time be over, as after a minute without a renewal."""
    for node in bench.nodes:
        file = bench.place(node) / "lease"
        lease = json.loads(file.read_text())
        assert lease["holder"], f"{node} is not held"
        file.write_text(json.dumps({**lease, "expires": 0.0}))


@pytest.mark.parametrize("moment", ["attempt_began", "bake_began"])
def test_a_deployer_that_slept_too_long_is_fenced_out(bench: SshBench, moment: str) -> None:
    deployed(bench, 'rollout = { first = 1, step = 1, bake = "200ms" }')

    def sleep_and_be_overtaken(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGSTOP)
        expire_leases(bench)
        bench.write({"version.txt": "three"})
        bench.run("deploy")
        assert bench.contents() == dict.fromkeys(bench.nodes, "three")
        process.send_signal(signal.SIGCONT)

    ran = bench.run_and(at(moment), sleep_and_be_overtaken, "deploy", code=3)
    assert "another deployer took over" in ran.err
    assert "`mikoshi status` shows what the other one does" in ran.err
    assert bench.contents() == dict.fromkeys(bench.nodes, "three")
    status = bench.run("status", "--json").events[0]
    assert (status["stable"]["seq"], status["unfinished"]) == (3, None)
    assert holders(bench) == NOTHING_HELD


@pytest.mark.parametrize(
    ("number", "event"),
    [
        (signal.SIGINT, {"name": "node_reached"}),
        (signal.SIGINT, {"name": "stage_began"}),
        (signal.SIGTERM, {"name": "step_began", "step": "before_activate"}),
        (signal.SIGINT, {"name": "node_flipped"}),
        (signal.SIGTERM, {"name": "bake_began"}),
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else value["name"],
)
def test_a_deployer_that_is_stopped_gives_its_leases_back_and_resumes(
    bench: SshBench, number: signal.Signals, event: dict[str, Any]
) -> None:
    deployed(bench, SLOW.replace("step = 1", 'step = 1, bake = "50ms"'))
    ran = bench.run_and(at(**event), lambda process: process.send_signal(number), "deploy", code=130)
    assert "mikoshi: interrupted " in ran.err
    assert "Run the same command again to go on." in ran.err
    assert holders(bench) == NOTHING_HELD
    assert set(bench.contents().values()) <= {"one", "two"}
    again = bench.run("deploy", "--json")
    begun = again.event("attempt_began")
    assert begun["seq"] == 2
    assert begun["resumed"] == (event["name"] != "node_reached")
    assert bench.contents() == dict.fromkeys(bench.nodes, "two")


def with_clock(bench: SshBench, offset: int) -> None:
    """Let the deployer's wall clock be wrong by so many seconds."""
    code = f"import time; real = time.time; time.time = lambda: real() + {offset}; from mikoshi.cli.main import main; "
    bench.program = (sys.executable, "-c", code + "raise SystemExit(main())")


def test_a_clock_that_jumps_changes_neither_numbers_nor_order(bench: SshBench) -> None:
    deployed(bench, "")
    with_clock(bench, -DAY)
    bench.run("deploy")
    assert bench.contents() == dict.fromkeys(bench.nodes, "two")
    with_clock(bench, 30 * DAY)
    bench.run("rollback")
    assert bench.contents() == dict.fromkeys(bench.nodes, "one")
    with_clock(bench, -30 * DAY)
    bench.write({"version.txt": "four"})
    bench.run("deploy")
    entries = json.loads(bench.run("history", "--json").out)
    assert [entry["seq"] for entry in entries] == [1, 2, 3, 4]
    assert [entry["result"] for entry in entries] == ["done"] * 4
    times = [entry["at"] for entry in entries]
    assert times != sorted(times), "the clock did not jump"
    status = bench.run("status", "--json").events[0]
    assert status["stable"]["seq"] == 4
    assert "nothing to do" in bench.run("deploy").out
    bench.run("rollback")
    assert bench.contents() == dict.fromkeys(bench.nodes, "one")
