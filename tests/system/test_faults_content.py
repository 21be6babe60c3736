"""Content that is damaged or gone, here or on a node: it is noticed, never run, and repaired where anybody has it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.system.bench import SshBench

pytestmark = [pytest.mark.root, pytest.mark.needs("sshd", "namespaces")]

KEPT = {"same.txt": "the same in every version"}


def deploy(bench: SshBench, version: str) -> None:
    bench.write({"version.txt": version, **KEPT})
    bench.run("deploy")


@pytest.fixture
def two(bench: SshBench) -> SshBench:
    """An application that was deployed as `one` and then as `two`."""
    bench.configure()
    deploy(bench, "one")
    deploy(bench, "two")
    return bench


def library(bench: SshBench) -> Path:
    """The releases kept by the deployer."""
    return bench.root / "xdg" / "data" / "mikoshi"


def damage_objects(bench: SshBench) -> int:
    """Change one byte in every kept object; how many there were."""
    objects = [file for file in (library(bench) / "objects").rglob("*") if file.is_file()]
    for file in objects:
        data = file.read_bytes()
        file.chmod(0o600)
        file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    return len(objects)


def running(bench: SshBench) -> str:
    """The release that runs on the first node."""
    return str(bench.run("status", "--json").events[0]["nodes"][0]["release"])


def assert_every_tree_is_good(bench: SshBench, seqs: dict[int, str]) -> None:
    for node in bench.nodes:
        for seq, version in seqs.items():
            assert (bench.tree(node, seq) / "version.txt").read_text() == version
            assert (bench.tree(node, seq) / "same.txt").read_text() == KEPT["same.txt"]


def test_a_damaged_object_is_read_from_the_source_again(bench: SshBench) -> None:
    bench.configure()
    bench.write({"version.txt": "one", **KEPT})
    bench.run("deploy")
    assert damage_objects(bench) == 2
    shutil.rmtree(bench.place(bench.nodes[2]))
    bench.run("deploy")
    assert bench.contents() == dict.fromkeys(bench.nodes, "one")
    assert bench.contents("same.txt") == dict.fromkeys(bench.nodes, KEPT["same.txt"])


def test_a_kept_release_whose_object_is_damaged_is_not_sent(two: SshBench) -> None:
    [release] = [kept["id"] for kept in json.loads(two.run("releases", "--json").out) if kept["id"] != running(two)]
    damage_objects(two)
    lacking = two.nodes[1]
    shutil.rmtree(two.tree(lacking, 1).parent)
    ran = two.run("deploy", "--release", release, code=5)
    assert "is neither here nor complete on any node" in ran.err
    assert "Deploy it from source instead" in ran.err
    assert two.contents() == dict.fromkeys(two.nodes, "two")
    two.run("deploy")
    assert two.contents() == dict.fromkeys(two.nodes, "two")


@pytest.mark.parametrize("seq", [1, 2], ids=["previous", "current"])
def test_an_edited_file_is_no_source_and_is_replaced_in_every_tree(two: SshBench, seq: int) -> None:
    edited = two.nodes[0]
    two.edit(edited, seq, "same.txt", "edited by hand")
    two.write({"version.txt": "three"})
    ran = two.run("deploy", "--json")
    received = {event["node"]: event["received"] for event in ran.all_events("stage_ended")}
    assert received[edited] > received[two.nodes[1]], "the damaged file was not sent again"
    assert_every_tree_is_good(two, {1: "one", 2: "two", 3: "three"})
    assert [(note["node"], note["text"]) for note in ran.all_events("note") if "edited" in note["text"]] == [
        (edited, f"deployment {number} was edited by hand here: same.txt") for number in (1, 2)
    ]
    assert "edited" not in two.run("status").out


def test_a_tree_edited_while_it_runs_is_not_what_a_rollback_runs(two: SshBench) -> None:
    for name, text in (("version.txt", "edited by hand"), ("extra.txt", "not deployed")):
        (two.tree(two.nodes[0], 2) / name).write_text(text)
    (two.tree(two.nodes[1], 2) / "same.txt").unlink()
    deploy(two, "three")
    ran = two.run("rollback", "--json")
    assert two.contents() == dict.fromkeys(two.nodes, "two")
    for node in two.nodes:
        assert sorted(os.listdir(two.place(node) / "current")) == ["same.txt", "version.txt"]
    noticed = {note["node"] for note in ran.all_events("note") if "was edited by hand" in note["text"]}
    assert two.nodes[0] in noticed


def test_a_rollback_to_an_edited_tree_never_runs_the_edit(two: SshBench) -> None:
    two.edit(two.nodes[0], 1, "version.txt", "edited by hand")
    (two.tree(two.nodes[1], 1) / "extra.txt").write_text("not deployed")
    (two.tree(two.nodes[2], 1) / "version.txt").unlink()
    two.run("rollback")
    assert two.contents() == dict.fromkeys(two.nodes, "one")
    for node in two.nodes:
        assert sorted(os.listdir(two.place(node) / "current")) == ["same.txt", "version.txt"]


def test_a_failed_deploy_goes_back_to_what_ran_even_if_it_was_edited(two: SshBench) -> None:
    """An edit that already ran is what the node goes back to; the next deploy repairs it."""
    two.edit(two.nodes[0], 2, "version.txt", "edited by hand")
    two.configure('hooks = { after_activate = "false" }\nrollout = { first = 3 }')
    two.write({"version.txt": "three"})
    ran = two.run("deploy", code=None)
    assert ran.code in (6, 7), ran.err
    two.configure()
    two.run("deploy")
    assert two.contents() == dict.fromkeys(two.nodes, "three")


def test_a_rollback_with_an_empty_library_fetches_from_a_node(two: SshBench) -> None:
    shutil.rmtree(two.root / "xdg")
    ran = two.run("rollback", "--json")
    assert ran.event("command_ended")["seq"] == 3
    assert two.contents() == dict.fromkeys(two.nodes, "one")
    assert [event["received"] for event in ran.all_events("stage_ended")] == [0, 0, 0]


def test_a_node_that_lacks_the_old_tree_is_sent_it_again(two: SshBench) -> None:
    lacking = two.nodes[1]
    shutil.rmtree(two.tree(lacking, 1).parent)
    shutil.rmtree(two.root / "xdg")
    ran = two.run("rollback", "--json")
    received = {event["node"]: event["received"] for event in ran.all_events("stage_ended")}
    assert received == {two.nodes[0]: 0, lacking: len("one"), two.nodes[2]: 0}
    assert two.contents() == dict.fromkeys(two.nodes, "one")


def test_content_that_nobody_has_any_more_stops_a_rollback_before_it_begins(two: SshBench) -> None:
    for node in two.nodes:
        shutil.rmtree(two.tree(node, 1).parent)
    shutil.rmtree(two.root / "xdg")
    ran = two.run("rollback", code=5)
    assert "is neither here nor complete on any node" in ran.err
    assert "mikoshi deploy --ref COMMIT" in ran.err
    assert two.contents() == dict.fromkeys(two.nodes, "two")
    assert [two.holder(node) for node in two.nodes] == ["", "", ""]
    status = two.run("status", "--json").events[0]
    assert status["stable"]["seq"] == 2
    assert status["unfinished"] is None
