"""What both SSH clients must hold of keys: the hosts', which are never believed unseen, and one's own."""

from __future__ import annotations

import hmac
from base64 import b64encode
from pathlib import Path

import pytest

from mikoshi.core.errors import (
    AuthenticationFailed,
    HostKeyChanged,
    HostKeyUnknown,
)
from mikoshi.testing.hosts import Host, HostKind
from mikoshi.testing.hosts.keys import certify_user, generate_key, public_key
from tests.contract.scenario import scenario
from tests.contract.ssh_client import Client, at, fingerprint, only, who
from tests.host_fixtures import StartHost


class SshTrustContract:
    """Nothing unknown is believed, and nothing is written down."""

    # Whom to believe

    @scenario
    async def test_an_unknown_host_key_is_refused_and_shown(
        self, client: Client, shared: dict[HostKind, Host], tmp_path: Path
    ) -> None:
        host = shared[HostKind.ROOT]
        known = tmp_path / "known"
        known.write_text("")
        for first in (f"UserKnownHostsFile {known}", "UserKnownHostsFile none", "StrictHostKeyChecking no"):
            config = f"Host {host.name}\n{first}\nUserKnownHostsFile {known}\nMatch all"
            with pytest.raises(HostKeyUnknown) as raised:
                await client.transport(config).open(at(host))
            assert raised.value.fingerprint == fingerprint(host.host_key)
            assert (raised.value.address, raised.value.port) == (host.address, host.port)
        assert known.read_text() == ""

    @scenario
    async def test_a_changed_host_key_is_refused_and_shown(self, client: Client, start_host: StartHost) -> None:
        host = start_host()
        host.rotate_host_key()
        new = host.host_key
        with pytest.raises(HostKeyChanged) as raised:
            await client.transport().open(at(host))
        assert raised.value.fingerprint == fingerprint(new)

    @pytest.mark.parametrize("form", ["key", "fingerprint"])
    @scenario
    async def test_a_pin_is_believed_before_any_file(self, client: Client, start_host: StartHost, form: str) -> None:
        host = start_host()
        host.rotate_host_key()
        new = host.host_key
        pin = new if form == "key" else fingerprint(new)
        assert (await who(await client.transport().open(at(host, host_key=pin))))["uid"] == 0

    @pytest.mark.parametrize("form", ["key", "fingerprint"])
    @scenario
    async def test_a_pin_that_is_not_the_key_is_a_changed_key(
        self, client: Client, shared: dict[HostKind, Host], tmp_path: Path, form: str
    ) -> None:
        host = shared[HostKind.ROOT]
        other = public_key(generate_key(tmp_path / "other"))
        pin = other if form == "key" else fingerprint(other)
        with pytest.raises(HostKeyChanged) as raised:
            await client.transport().open(at(host, host_key=pin))
        assert raised.value.fingerprint == fingerprint(host.host_key)

    @scenario
    async def test_hashed_names_are_known_names(
        self, client: Client, shared: dict[HostKind, Host], tmp_path: Path
    ) -> None:
        host = shared[HostKind.ROOT]
        known = tmp_path / "known"
        known.write_text("nonsense\n" + _hashed(f"[{host.address}]:{host.port}", host.host_key))
        await who(await client.transport(f"UserKnownHostsFile {known}").open(at(host)))

    @scenario
    async def test_a_certified_host_is_believed_for_its_authority(
        self, client: Client, start_host: StartHost, tmp_path: Path
    ) -> None:
        host = start_host()
        host.present_host_certificate()
        known = tmp_path / "known"
        known.write_text(client.fleet.client.host_ca_line + "\n")
        await who(await client.transport(f"UserKnownHostsFile {known}").open(at(host)))

    @scenario
    async def test_a_revoked_host_key_is_refused(
        self, client: Client, shared: dict[HostKind, Host], tmp_path: Path
    ) -> None:
        host = shared[HostKind.ROOT]
        known = tmp_path / "known"
        line = f"[{host.address}]:{host.port} {host.host_key}\n"
        known.write_text(f"{line}@revoked {line}")
        with pytest.raises(HostKeyChanged):
            await client.transport(f"UserKnownHostsFile {known}").open(at(host))

    # Logging in

    @scenario
    async def test_a_key_that_the_host_does_not_know_is_an_authentication_failure(
        self, client: Client, shared: dict[HostKind, Host], tmp_path: Path
    ) -> None:
        host = shared[HostKind.PLAIN]
        key = generate_key(tmp_path / "stranger")
        with pytest.raises(AuthenticationFailed) as raised:
            await client.transport(only(key), keys=False).open(at(host))
        assert raised.value.user == "deploy"
        assert raised.value.node == host.name

    @scenario
    async def test_the_user_of_the_address_is_the_one_who_logs_in(
        self, client: Client, shared: dict[HostKind, Host]
    ) -> None:
        with pytest.raises(AuthenticationFailed) as raised:
            await client.transport().open(at(shared[HostKind.PLAIN], user="shop"))
        assert raised.value.user == "shop"

    @scenario
    async def test_a_missing_key_file_is_passed_over(
        self, client: Client, shared: dict[HostKind, Host], tmp_path: Path
    ) -> None:
        first = f"IdentityFile {tmp_path}/missing"
        await who(await client.transport(first).open(at(shared[HostKind.ROOT])))

    @scenario
    async def test_a_certificate_beside_the_key_is_used(
        self, client: Client, shared: dict[HostKind, Host], tmp_path: Path
    ) -> None:
        key = generate_key(tmp_path / "certified")
        certify_user(client.fleet.keys.user_ca, key, ["deploy"])
        await who(await client.transport(only(key), keys=False).open(at(shared[HostKind.PLAIN])))

    @scenario
    async def test_the_agent_is_asked(
        self, client: Client, shared: dict[HostKind, Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        host = shared[HostKind.PLAIN]
        only_public = tmp_path / "id.pub"
        only_public.write_text(public_key(client.fleet.keys.client) + "\n")
        with client.fleet.agent(client.fleet.keys.client) as path:
            monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
            await who(
                await client.transport(only(tmp_path / "missing", "IdentitiesOnly no"), keys=False).open(at(host))
            )
            await who(await client.transport(only(only_public), keys=False).open(at(host)))
            with pytest.raises(AuthenticationFailed):
                await client.transport(only(tmp_path / "missing"), keys=False).open(at(host))
            with pytest.raises(AuthenticationFailed):
                await client.transport(only(only_public, "IdentityAgent none"), keys=False).open(at(host))


def _hashed(name: str, key: str) -> str:
    """A known_hosts line with a hashed name (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    salt = b"salt salt salt salt!"
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{b64encode(salt).decode()}|{b64encode(digest).decode()} {key}\n"
