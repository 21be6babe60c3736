"""Tests here may start real SSH servers; `bench` is an application on three of them that a module shares."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mikoshi.testing.hosts import Host, HostFleet, HostKind, HostSpec
from tests.host_fixtures import fleet, start_host
from tests.system.bench import SshBench

__all__ = ["bench", "fleet", "start_host", "trio"]

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def trio(fleet: HostFleet) -> Iterator[list[Host]]:
    """Three hosts: one where root logs in, one with sudo, one with neither. The first is the anchor."""
    hosts = fleet.start_all([HostSpec(HostKind.ROOT), HostSpec(HostKind.SUDO), HostSpec(HostKind.PLAIN)])
    yield hosts
    for host in hosts:
        fleet.remove(host)


@pytest.fixture
def bench(trio: list[Host], tmp_path: Path) -> Iterator[SshBench]:
    """An application of its own on the three hosts, which are on before and after each test."""
    yield SshBench(tmp_path, name=f"shop{os.getpid()}-{next(_NUMBERS)}", hosts=trio)
    for host in trio:
        if host.running:
            host.resume()
        host.start()
