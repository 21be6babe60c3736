"""Many files and large ones, one host: memory stays flat, little travels, and a killed transfer is not begun anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from mikoshi.testing.hosts import Host, HostFleet, HostSpec
from tests.system.bench import SshBench, engines

MEGABYTE = 1 << 20
pytestmark = [pytest.mark.root, pytest.mark.needs("sshd", "namespaces"), pytest.mark.serial]


@pytest.fixture
def one(fleet: HostFleet, tmp_path: Path) -> Iterator[SshBench]:
    """An application on one host whose disk is this machine's."""
    host = fleet.start_all([HostSpec(size=None)])[0]
    bench = SshBench(tmp_path, name=f"large{os.getpid()}-{host.name}", hosts=[host])
    bench.configure()
    yield bench
    fleet.remove(host)


class PeakMemory:
    """Samples the kernel's high-water marks of a host's engine and of a deployer: `engine` and `deployer`, in bytes."""

    def __init__(self, host: Host, deployer: subprocess.Popen[str]) -> None:
        self._host, self._process = host, deployer
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.engine = self.deployer = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        known: list[int] = []
        while not self._ended.wait(0.05):
            known = known or engines(self._host)
            self.engine = max([self.engine, *map(high_water, known)])
            self.deployer = max(self.deployer, high_water(self._process.pid))


def high_water(pid: int) -> int:
    """VmHWM of a process in bytes, 0 if it is gone. See proc_pid_status(5)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def deploy_measured(bench: SshBench, seconds: float) -> tuple[dict[str, Any], PeakMemory]:
    """Deploy; the last event, and the memory it took at most."""
    with bench.start("deploy", "--json") as process, PeakMemory(bench.hosts[0], process) as peak:
        try:
            out, err = process.communicate(timeout=seconds)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert peak.engine > 0, "the engine was never seen"
    assert peak.deployer > 0
    return json.loads(out.splitlines()[-1]), peak


def write_random(file: Path, megabytes: int) -> None:
    """Content that neither compresses nor repeats."""
    with file.open("wb") as stream:
        for _ in range(megabytes):
            stream.write(os.urandom(MEGABYTE))


def insert_byte(file: Path, at: int) -> None:
    """One byte more in the middle of a file."""
    with file.open("rb") as old, file.with_suffix(".new").open("wb") as new:
        new.write(old.read(at) + b"!")
        while block := old.read(MEGABYTE):
            new.write(block)
    file.with_suffix(".new").replace(file)


def assert_same_file(bench: SshBench, name: str) -> None:
    deployed = bench.place(bench.nodes[0]) / "current" / name
    subprocess.run(["cmp", str(bench.app / name), str(deployed)], check=True, capture_output=True)


def test_a_large_file_takes_little_memory_and_a_byte_inserted_in_it_little_traffic(one: SshBench) -> None:
    large = one.app / "large.bin"
    write_random(large, 200)
    ended, peak = deploy_measured(one, 100)
    assert 200 * MEGABYTE <= ended["bytes_sent"] <= 210 * MEGABYTE
    assert peak.deployer < 200 * MEGABYTE, f"{peak.deployer >> 20} MiB"
    assert peak.engine < 200 * MEGABYTE, f"{peak.engine >> 20} MiB"
    assert_same_file(one, "large.bin")
    insert_byte(large, 77 * MEGABYTE + 5)
    ended, peak = deploy_measured(one, 100)
    assert ended["bytes_sent"] < MEGABYTE
    assert peak.engine < 200 * MEGABYTE
    assert_same_file(one, "large.bin")


def write_small_files(app: Path, count: int) -> None:
    for number in range(count):
        directory = app / f"{number // 500:03d}"
        if number % 500 == 0:
            directory.mkdir(parents=True)
        (directory / f"{number}.txt").write_text(f"file {number}\n")


def deploy_many(bench: SshBench, count: int, seconds: float) -> None:
    write_small_files(bench.app, count)
    ended, peak = deploy_measured(bench, seconds)
    assert ended["round_trips"] <= 16
    assert ended["connects"] == 1
    assert max(peak.engine, peak.deployer) < 400 * MEGABYTE, (peak.engine >> 20, peak.deployer >> 20)
    current = bench.place(bench.nodes[0]) / "current"
    assert sum(len(files) for _, _, files in os.walk(f"{current}/")) == count
    (bench.app / "000/1.txt").write_text("changed\n")
    ended, _ = deploy_measured(bench, seconds)
    # The index of all files is not sent again, only what differs.
    assert ended["bytes_sent"] < 100_000 + 40 * count
    first, second = (bench.tree(bench.nodes[0], seq) / "000" for seq in (1, 2))
    assert (first / "2.txt").stat().st_ino == (second / "2.txt").stat().st_ino
    assert (first / "1.txt").read_text() == "file 1\n"
    assert (second / "1.txt").read_text() == "changed\n"


def test_many_small_files_take_one_connection_and_a_change_of_one_little_traffic(one: SshBench) -> None:
    deploy_many(one, 10_000, 100)


def test_a_transfer_killed_at_four_fifths_sends_at_most_a_quarter_again(one: SshBench) -> None:
    for number in range(150):
        (one.app / f"{number}.bin").write_bytes(os.urandom(100_000))
    write_random(one.app / "large.bin", 15)
    seen = one.kill_at(
        lambda event: event["event"] == "stage_progress" and event["sent"] > 0.8 * event["missing"], "deploy"
    )
    total = seen[-1]["missing"]
    assert total > 30_000_000
    ran = one.run("deploy", "--json")
    assert ran.event("attempt_began")["resumed"]
    sent = ran.event("command_ended")["bytes_sent"]
    assert sent <= 0.25 * total, f"{sent / total:.0%} of the content was sent again"
    assert_same_file(one, "large.bin")


READER = """
import os, sys, time
current, mixed, rounds, seen = sys.argv[1], 0, 0, set()
print("ready", flush=True)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    directory = os.open(current, os.O_RDONLY)
    words = set()
    for name in ("a.txt", "sub/b.txt", "c.txt"):
        with open(name, opener=lambda path, flags: os.open(path, flags, dir_fd=directory)) as file:
            words.add(file.read())
    os.close(directory)
    mixed += len(words) != 1
    seen |= words
    rounds += 1
print(mixed, rounds, len(seen))
"""


def test_no_reader_ever_sees_a_mix_of_two_deployments(one: SshBench) -> None:
    versions = [f"version {number}" for number in range(4)]

    def write(version: str) -> None:
        one.write({"a.txt": version, "sub/b.txt": version, "c.txt": version})

    write(versions[0])
    one.configure("keep = 2")
    one.run("deploy")
    current = str(one.place(one.nodes[0]) / "current")
    with subprocess.Popen([sys.executable, "-c", READER, current, "8"], stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for version in versions[1:]:
            write(version)
            one.run("deploy")
        one.run("rollback")
        out, _ = reader.communicate(timeout=60)
    mixed, rounds, seen = map(int, out.split())
    assert mixed == 0
    assert rounds > 100
    assert seen >= 2


@pytest.mark.soak
def test_a_hundred_thousand_files(one: SshBench) -> None:
    deploy_many(one, 100_000, 1200)


@pytest.mark.soak
def test_a_file_of_two_gigabytes_takes_under_200_mb_on_either_side(one: SshBench) -> None:
    write_random(one.app / "huge.bin", 2048)
    ended, peak = deploy_measured(one, 1800)
    assert ended["bytes_sent"] < 2100 * MEGABYTE
    assert peak.deployer < 200 * MEGABYTE, f"{peak.deployer >> 20} MiB"
    assert peak.engine < 200 * MEGABYTE, f"{peak.engine >> 20} MiB"
    assert_same_file(one, "huge.bin")
