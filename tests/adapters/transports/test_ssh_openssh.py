"""The SSH client `openssh`: the contracts against real hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mikoshi.adapters.transports.ssh_openssh import OpensshTransport
from mikoshi.testing.hosts import HostFleet
from tests.contract.ssh_contract import Client, SshContract, SshShellContract

pytestmark = [pytest.mark.root, pytest.mark.needs("namespaces", "sshd", "ssh-keygen", "ssh", "sudo")]


@pytest.fixture
def client(fleet: HostFleet, tmp_path: Path) -> Client:
    return Client(OpensshTransport, fleet, tmp_path)


class TestOpensshTransport(SshContract):
    """All of it."""


class TestOpensshShell(SshShellContract):
    """All of it."""
