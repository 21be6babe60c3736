"""The ways that OpenSSH lets a client in: certificates, an agent, a jump host, certified hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.host_fixtures import StartHost
from tests.testing.ssh_client import over_ssh

from mikoshi.testing.hosts import HostFleet
from mikoshi.testing.hosts.keys import certify_user, generate_key


def with_key(fleet: HostFleet, key: Path) -> tuple[str, ...]:
    """Options that leave `key` as the only one: an IdentityFile given on the command line is one more."""
    config = key.with_name("ssh_config")
    config.write_text(fleet.client.path.read_text().replace(str(fleet.keys.client), str(key)))
    return ("-F", str(config))


@pytest.mark.parametrize(
    ("principal", "seconds", "enters"), [("deploy", 60, True), ("shop", 60, False), ("deploy", -60, False)]
)
def test_a_user_certificate_logs_in_as_its_principal_while_it_lasts(
    fleet: HostFleet, start_host: StartHost, tmp_path: Path, principal: str, seconds: int, enters: bool
) -> None:
    host = start_host("plain")
    key = generate_key(tmp_path / "key")
    options = with_key(fleet, key)
    assert over_ssh(host, "true", options=options).returncode == 255
    certify_user(fleet.keys.user_ca, key, [principal], seconds)
    assert (over_ssh(host, "true", options=options).returncode == 0) == enters


def test_an_agents_key_logs_in_and_the_agent_ends_with_its_block(
    fleet: HostFleet, start_host: StartHost, tmp_path: Path
) -> None:
    host = start_host()
    nothing = (*with_key(fleet, tmp_path / "none"), "-o", "IdentitiesOnly=no")
    with fleet.agent(fleet.keys.client) as agent:
        assert over_ssh(host, "true", options=nothing, agent=agent).returncode == 0
    assert not agent.exists()
    assert over_ssh(host, "true", options=nothing, agent=agent).returncode == 255


def test_one_host_is_the_way_to_another(start_host: StartHost) -> None:
    jump, target = start_host("plain"), start_host("root")
    assert over_ssh(target, "hostname", options=("-J", jump.name)).stdout == f"{target.name}\n"
    assert "Accepted publickey for deploy" in jump.log


def test_a_certified_host_is_known_by_its_authority_alone(
    fleet: HostFleet, start_host: StartHost, tmp_path: Path
) -> None:
    host = start_host()
    pins = tmp_path / "known_hosts"
    pins.write_text(fleet.client.host_ca_line + "\n")
    options = ("-o", f"UserKnownHostsFile={pins}")
    assert over_ssh(host, "true", options=options).returncode == 255
    host.present_host_certificate()
    assert over_ssh(host, "true", options=options).returncode == 0
