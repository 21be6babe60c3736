"""Fixtures for tests on real SSH servers; a conftest that wants them imports them from here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pytest

from mikoshi.testing.hosts import Host, HostFleet, HostKind, missing_requirements

__all__ = ["StartHost", "fleet", "start_host"]


class StartHost(Protocol):
    """Starts a host that ends with the test. The arguments are those of HostSpec."""

    def __call__(
        self,
        kind: HostKind | str = HostKind.ROOT,
        *,
        name: str | None = None,
        size: str | None = "512m",
        inodes: int | None = None,
        without: tuple[str, ...] = (),
    ) -> Host: ...


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostFleet]:
    """One fleet for all tests of this process: what costs time is its keys, hosts are cheap."""
    missing = missing_requirements()
    if missing:
        pytest.skip("; ".join(missing) + ": `make setup` as root on Debian")
    with HostFleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
def start_host(fleet: HostFleet) -> Iterator[StartHost]:
    """Start hosts as the test asks for them; all are gone when it ends."""
    hosts: list[Host] = []

    def start(
        kind: HostKind | str = HostKind.ROOT,
        *,
        name: str | None = None,
        size: str | None = "512m",
        inodes: int | None = None,
        without: tuple[str, ...] = (),
    ) -> Host:
        host = fleet.start(kind, name=name, size=size, inodes=inodes, without=without)
        hosts.append(host)
        return host

    yield start
    for host in hosts:
        fleet.remove(host)
