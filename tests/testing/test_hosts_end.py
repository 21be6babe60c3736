"""Hosts start all or none, do not meet those of other fleets, and leave nothing behind, however they end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.testing import fleet_owner
from tests.testing.ssh_client import over_ssh

from mikoshi.testing.hosts import HostError, HostFleet, HostKind, HostSpec
from mikoshi.testing.hosts.addresses import PORT, reserve_address
from mikoshi.testing.hosts.deadline import wait_until
from mikoshi.testing.hosts.processes import namespace_of, processes_in


def processes_that_see(directory: Path) -> set[int]:
    """The processes for which something is mounted below a directory."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"{directory}/" in (entry / "mountinfo").read_text():
                found.add(int(entry.name))
        except OSError:
            pass  # it ended while it was looked at, or is not ours
    return found


def processes_that_name(directory: Path) -> set[int]:
    """The processes whose command line has a directory in it."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(directory).encode() in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
        except OSError:
            pass  # it ended while it was looked at
    return found


def test_hosts_start_beside_each_other_or_not_at_all(fleet: HostFleet) -> None:
    before = processes_that_see(fleet.directory)
    with pytest.raises(ValueError, match="named twin already"):
        fleet.start_all([HostSpec(name="twin"), HostSpec(name="twin")])
    with pytest.raises(HostError, match=r"did not boot|ended while it booted"):
        fleet.start_all([HostSpec(name="good"), HostSpec(name="bad", without=("/usr/sbin/sshd",))])
    assert processes_that_see(fleet.directory) == before
    hosts = fleet.start_all([HostSpec(kind) for kind in HostKind])
    try:
        assert len({host.address for host in hosts}) == len(hosts)
        assert all(over_ssh(host, "true").returncode == 0 for host in hosts)
    finally:
        for host in hosts:
            fleet.remove(host)


def test_a_closed_fleet_leaves_no_process_no_mount_and_no_address_taken(fleet: HostFleet, tmp_path: Path) -> None:
    with HostFleet(tmp_path) as own:
        host = own.start()
        host.run(["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &"])
        namespace = namespace_of(host.pid)
        assert namespace is not None
        assert len(list(processes_in(namespace))) >= 2
        assert processes_that_see(tmp_path)
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
        assert host.address not in free_addresses()
    assert list(processes_in(namespace)) == []
    assert processes_that_see(tmp_path) == set()
    assert processes_that_name(tmp_path) == set()
    assert not listens(host.address)
    assert not list((tmp_path / "disks").iterdir())


def test_hosts_end_with_the_process_that_owns_them_even_if_that_is_killed(fleet: HostFleet, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, fleet_owner.__file__, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        facts = json.loads(owner.stdout.readline())
        assert listens(facts["address"])
        assert len(list(processes_in(facts["namespace"]))) >= 2
        os.kill(owner.pid, signal.SIGKILL)
    assert wait_until(lambda: not list(processes_in(facts["namespace"])), 20)
    assert wait_until(lambda: not processes_that_see(tmp_path) and not processes_that_name(tmp_path), 20)
    assert not listens(facts["address"])


def test_an_address_is_nobody_elses_until_it_is_given_back() -> None:
    with reserve_address() as first, reserve_address() as second:
        assert first.address != second.address
        assert {first.address, second.address}.isdisjoint(free_addresses())


def test_an_address_where_somebody_listens_is_left_alone() -> None:
    with reserve_address() as free:
        address = free.address
    with socket.create_server((address, PORT)):
        assert address not in free_addresses()


def free_addresses() -> set[str]:
    """Some addresses that can be reserved now, the lowest ones."""
    reserved = [reserve_address() for _ in range(8)]
    for one in reserved:
        one.close()
    return {one.address for one in reserved}


def listens(address: str) -> bool:
    """Whether a server accepts connections at the hosts' port of an address."""
    with socket.socket() as client:
        return client.connect_ex((address, PORT)) == 0
