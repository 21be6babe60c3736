"""The SSH client `openssh`: the contracts against real hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from mikoshi.adapters.transports.ssh_openssh import OpensshTransport
from mikoshi.testing.hosts import HostFleet
from tests.contract.ssh_client import Client
from tests.contract.ssh_contract import SshContract, SshShellContract
from tests.contract.ssh_reach_contract import SshReachContract
from tests.contract.ssh_trust_contract import SshTrustContract

pytestmark = [pytest.mark.root, pytest.mark.needs("namespaces", "sshd", "ssh-keygen", "ssh", "sudo")]


@pytest.fixture
def client(fleet: HostFleet, tmp_path: Path) -> Client:
    return Client(OpensshTransport, fleet, tmp_path)


class TestHosts(SshContract):
    """Engine, Python, login shells."""


class TestReach(SshReachContract):
    """Ways that fail, and hosts behind others."""


class TestTrust(SshTrustContract):
    """Host keys and logins."""


class TestShell(SshShellContract):
    """Commands."""
