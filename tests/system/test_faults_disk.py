"""A full disk and too few inodes: told apart, with figures, before anything is written; no other host is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mikoshi.testing.hosts import Host, HostFleet, HostSpec
from tests.system.bench import SshBench

pytestmark = [pytest.mark.root, pytest.mark.needs("sshd", "namespaces")]

MEGABYTE = 1 << 20


@pytest.fixture
def small(fleet: HostFleet, trio: list[Host], tmp_path: Path) -> Iterator[SshBench]:
    """Version `one` on an ordinary host, which is the anchor, and on one with a small disk."""
    tiny = fleet.start_all([HostSpec(size="32m", inodes=2000)])[0]
    bench = SshBench(tmp_path, name=f"small{os.getpid()}-{tiny.name}", hosts=[trio[0], tiny])
    bench.configure()
    bench.write({"version.txt": "one"})
    bench.run("deploy")
    bench.write({"version.txt": "two"})
    yield bench
    fleet.remove(tiny)


def kept(bench: SshBench) -> set[str]:
    """Every path that the hosts' deployments are made of."""
    return {
        f"{node}:{path.relative_to(bench.place(node))}"
        for node in bench.nodes
        for path in (bench.place(node) / "deployments").rglob("*")
        if "/2" not in str(path.relative_to(bench.place(node))) or node == bench.nodes[1]
    }


def test_a_full_disk_is_noticed_before_anything_is_written(small: SshBench) -> None:
    (small.app / "big.bin").write_bytes(os.urandom(8 * MEGABYTE))
    tiny = small.hosts[1]
    tiny.disk.leave_free(size=4 * MEGABYTE)
    before = kept(small)
    ran = small.run("deploy", code=5)
    found = re.search(rf"{tiny.name}: the disk is too full: \S+ needs (\d+) bytes, (\d+) are free", ran.err)
    assert found, ran.err
    needed, free = map(int, found.groups())
    assert 8 * MEGABYTE <= needed <= 10 * MEGABYTE
    assert 3 * MEGABYTE <= free <= 4 * MEGABYTE
    assert "Nothing was written. Make room there" in ran.err
    assert kept(small) == before
    assert set(small.contents().values()) == {"one"}
    assert [small.holder(node) for node in small.nodes] == ["", ""]
    tiny.disk.restore()
    small.run("deploy")
    assert set(small.contents().values()) == {"two"}


def test_too_few_inodes_are_noticed_before_anything_is_written(small: SshBench) -> None:
    small.write({f"many/{number}.txt": str(number) for number in range(300)})
    tiny = small.hosts[1]
    tiny.disk.leave_free(inodes=200)
    before = kept(small)
    ran = small.run("deploy", code=5)
    found = re.search(rf"{tiny.name}: too few inodes: \S+ needs (\d+), (\d+) are free", ran.err)
    assert found, ran.err
    needed, free = map(int, found.groups())
    assert 301 <= needed <= 350
    assert free <= 200
    assert "Nothing was written. Remove files there" in ran.err
    assert kept(small) == before
    assert set(small.contents().values()) == {"one"}
    tiny.disk.restore()
    small.run("deploy")
    assert set(small.contents().values()) == {"two"}


def test_a_disk_that_fills_up_while_content_arrives_is_told_and_changes_nothing(small: SshBench) -> None:
    """Another program took the room after it was asked for."""
    (small.app / "big.bin").write_bytes(os.urandom(12 * MEGABYTE))
    tiny = small.hosts[1]

    def take_room(_: object) -> None:
        tiny.disk.leave_free(size=2 * MEGABYTE)

    ran = small.run_and(lambda event: event["event"] == "stage_began", take_room, "deploy", code=5)
    assert f"{tiny.name}: the disk is too full" in ran.err
    tiny.disk.restore()
    assert set(small.contents().values()) == {"one"}
    small.run("deploy")
    assert set(small.contents().values()) == {"two"}
