"""Hosts that are off, hang, or die in the middle of a deploy: what is said, what is touched, and how it goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.system.bench import SshBench, at
from tests.workbench import Ran

pytestmark = [pytest.mark.root, pytest.mark.needs("sshd", "namespaces")]

MEGABYTE = 1 << 20


def deployed(bench: SshBench, body: str = "") -> SshBench:
    """The bench with version `one` on every host."""
    bench.configure(body)
    bench.write({"version.txt": "one", "copy/version.txt": "one"})
    bench.run("deploy")
    bench.write({"version.txt": "two", "copy/version.txt": "two"})
    return bench


def assert_untouched(bench: SshBench) -> None:
    """Every host that is on still runs `one`, keeps nothing else, and holds no lease."""
    assert set(bench.contents().values()) == {"one"}
    for host in bench.hosts:
        if host.running:
            assert os.listdir(bench.place(host.name) / "deployments") == ["1"]
            assert bench.holder(host.name) == ""


def fill(file: Path, megabytes: int) -> None:
    """A file that neither compression nor an earlier deployment makes smaller."""
    file.write_bytes(os.urandom(megabytes * MEGABYTE))


def lost(ran: Ran) -> dict[str, str]:
    """The nodes that the command lost, with the type of error."""
    return {event["node"]: event["error"]["type"] for event in ran.all_events("node_lost")}


def test_a_host_that_is_off_stops_the_deploy_before_anything_is_touched(bench: SshBench) -> None:
    deployed(bench)
    gone = bench.nodes[2]
    bench.host(gone).kill()
    ran = bench.run("deploy", code=4)
    assert f"{gone}: no connection to" in ran.err
    assert "Check that the host is up" in ran.err
    assert_untouched(bench)
    status = bench.run("status", code=4)
    assert "out of reach" in status.out
    bench.host(gone).start()
    bench.run("deploy")
    assert set(bench.contents().values()) == {"two"}


def test_a_host_within_the_budget_is_left_behind_and_the_next_deploy_brings_it_along(bench: SshBench) -> None:
    deployed(bench, "rollout = { max_unreachable = 1 }")
    gone = bench.nodes[1]
    bench.host(gone).kill()
    ran = bench.run("deploy", "--json")
    assert lost(ran) == {gone: "HostUnreachable"}
    assert set(bench.contents().values()) == {"two"}
    bench.host(gone).start()
    assert bench.contents()[gone] == "one"
    plan = bench.run("plan", code=0).out
    assert f"{gone}: activate 2" in plan
    brought = bench.run("deploy", "--json")
    assert [event["node"] for event in brought.all_events("node_flipped")] == [gone]
    assert set(bench.contents().values()) == {"two"}
    assert "nothing to do" in bench.run("deploy").out


def test_two_hosts_off_are_one_more_than_a_budget_of_one(bench: SshBench) -> None:
    deployed(bench, "rollout = { max_unreachable = 1 }")
    for gone in bench.nodes[1:]:
        bench.host(gone).kill()
    ran = bench.run("deploy", code=4)
    assert all(f"{gone}: no connection to" in ran.err for gone in bench.nodes[1:])
    assert "run the same command again once it is reachable" in ran.err
    assert_untouched(bench)


def test_a_host_that_hangs_is_named_within_the_connect_limit(bench: SshBench) -> None:
    deployed(bench)
    bench.connect = "2s"
    bench.configure()
    hanging = bench.nodes[1]
    bench.host(hanging).pause()
    ran = bench.run("deploy", code=4)
    assert f"{hanging}: no answer within 2.0 s" in ran.err
    assert "allow more time" in ran.err
    bench.host(hanging).resume()
    assert_untouched(bench)
    bench.connect = "20s"
    bench.configure()
    bench.run("deploy")
    assert set(bench.contents().values()) == {"two"}


def test_a_host_that_dies_while_it_is_sent_content_leaves_the_others_as_they_were(bench: SshBench) -> None:
    deployed(bench)
    dying = bench.nodes[2]
    for number in range(4):
        fill(bench.app / f"{number}.bin", 4)
    ran = bench.run_and(at("stage_progress", dying), lambda _: bench.host(dying).kill(), "deploy", code=4)
    assert dying in ran.err
    assert "run the same command again once it is reachable" in ran.err
    assert not ran.all_events("node_flipped")
    assert set(bench.contents().values()) == {"one"}
    bench.host(dying).start()
    assert bench.contents()[dying] == "one"
    again = bench.run("deploy", "--json")
    assert again.event("attempt_began")["resumed"]
    sent = [event["sent"] for event in ran.all_events("stage_progress") if event["node"] == dying]
    for event in again.all_events("stage_ended"):
        assert event["received"] + event["reused"] == 4 * 4 * MEGABYTE + 6
    assert again.event("command_ended")["bytes_sent"] < 1.1 * 3 * 4 * 4 * MEGABYTE - max(sent)
    assert set(bench.contents().values()) == {"two"}


@pytest.mark.parametrize("which", [0, 2], ids=["anchor", "last"])
def test_a_host_that_dies_in_its_flip_is_named_and_the_others_go_back(bench: SshBench, which: int) -> None:
    dying, others = bench.nodes[which], [node for node in bench.nodes if node != bench.nodes[which]]
    body = (
        f'anchor = "{bench.nodes[0]}"\nhooks = {{ before_activate = "sleep 0.3" }}\nrollout = {{ first = 2, step = 1 }}'
    )
    bench.nodes = (*others, dying)
    deployed(bench, body)
    died = at("step_began", dying, "before_activate")
    ran = bench.run_and(died, lambda _: bench.host(dying).kill(), "deploy", code=7)
    assert f"these nodes need a person: {dying}" in ran.err
    assert f"{dying}: the connection was lost" in ran.err
    assert "then run the same command again" in ran.err
    assert {event["node"] for event in ran.all_events("node_reverted")} == set(others)
    assert set(bench.contents().values()) == {"one"}
    bench.host(dying).start()
    assert bench.contents()[dying] == "one", "the host runs what it never finished"
    if bench.run("deploy", code=None).code != 0:
        bench.run("deploy")
    assert set(bench.contents().values()) == {"two"}
    assert bench.run("status", "--json").events[0]["unfinished"] is None
