"""What both SSH clients must hold, against real sshd hosts: every failure has its own name, nothing is believed.

A test class inherits it and says in `client` how its transport is made of options.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import socket
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mikoshi.adapters.transports.engine_zip import EngineZip
from mikoshi.adapters.transports.ssh_options import SshOptions
from mikoshi.core.errors import (
    AuthenticationFailed,
    ConnectionLost,
    HostKeyChanged,
    HostKeyUnknown,
    HostTimeout,
    HostUnreachable,
    InfrastructureError,
    PathUnusable,
    PythonMissing,
)
from mikoshi.ports.remote import RemoteShell
from mikoshi.ports.transport import Address, Channel, Transport
from mikoshi.testing.hosts import Host, HostFleet, HostKind, HostSpec
from mikoshi.testing.hosts.keys import certify_user, generate_key, public_key
from tests.contract.remote_contract import RemoteShellContract, Shell
from tests.contract.scenario import eventually, scenario, seconds
from tests.contract.stand_in import Talk, stand_in
from tests.contract.transport_contract import TransportContract, Way
from tests.host_fixtures import StartHost
from tests.requirements import find_program


class SshClient(Transport, RemoteShell):
    """Both ports at once, as the SSH transports are."""

    async def close(self) -> None:
        """Of both."""


@dataclass(frozen=True)
class Client:
    """An SSH client under test, and a place for configuration files."""

    make: Callable[[SshOptions, EngineZip], Any]
    fleet: HostFleet
    directory: Path

    def transport(self, first: str = "", engine: EngineZip | None = None, *, keys: bool = True, **options: Any) -> Any:
        """A transport whose configuration is `first`, then the fleet's, whose key is left out without `keys`."""
        fleet = self.fleet.client.path.read_text().splitlines()
        kept = [line for line in fleet if keys or not line.strip().startswith(("IdentityFile", "IdentitiesOnly"))]
        included = self.directory / "fleet"
        included.write_text("\n".join(kept))
        config = self.directory / "config"
        config.write_text(f'{first}\nInclude "{included}"\n')
        return self.make(replace(SshOptions(config=config), **options), engine or stand_in())


def at(host: Host, **changes: Any) -> Address:
    """The address of a host by the name it has in the fleet's configuration."""
    return replace(Address(host.name, host.name), **changes)


def fingerprint(key: str) -> str:
    """The SHA-256 fingerprint of a public key, as OpenSSH prints it."""
    digest = hashlib.sha256(b64decode(key.split()[1])).digest()
    return "SHA256:" + b64encode(digest).decode().rstrip("=")


async def who(channel: Channel) -> dict[str, Any]:
    """What the engine says of itself; the channel is closed."""
    try:
        return await Talk(channel).ask({"do": "who"})
    finally:
        await channel.close()


@contextlib.contextmanager
def listener() -> Iterator[int]:
    """A port on loopback that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture(scope="module")
def shared(fleet: HostFleet) -> Iterator[dict[HostKind, Host]]:
    """A host of each kind for tests that leave them as they are."""
    hosts = fleet.start_all([HostSpec(kind) for kind in HostKind])
    yield dict(zip(HostKind, hosts, strict=True))
    for host in hosts:
        fleet.remove(host)


class SshContract(TransportContract):
    """Inherits what holds for every transport; the `way` is a host where root logs in."""

    @pytest.fixture
    def way(self, client: Client, start_host: StartHost) -> Way:
        host = start_host()

        def alive(pid: int) -> bool:
            return (host.root / f"proc/{pid}").exists()

        return Way(lambda engine: client.transport(engine=engine), at(host), alive)

    # Whose engine it is, and where it lies

    @pytest.mark.parametrize("kind", list(HostKind))
    @scenario
    async def test_the_engine_is_root_where_it_can_be(
        self, client: Client, shared: dict[HostKind, Host], kind: HostKind
    ) -> None:
        answer = await who(await client.transport().open(at(shared[kind])))
        assert (answer["uid"] == 0) == (kind is not HostKind.PLAIN)

    @pytest.mark.parametrize("kind", list(HostKind))
    @scenario
    async def test_nobody_else_can_write_where_the_engine_lies(
        self, client: Client, start_host: StartHost, kind: HostKind
    ) -> None:
        host = start_host(kind)
        await who(await client.transport().open(at(host)))
        where = "home/deploy/.cache/mikoshi/engine" if kind is HostKind.PLAIN else "var/lib/mikoshi/engine"
        owner = 1000 if kind is HostKind.PLAIN else 0
        found = host.run(["find", f"/{where}/..", "-printf", "%U %m\n"]).stdout.decode().split("\n")[:-1]
        assert len(found) > 5
        for line in found:
            uid, mode = line.split()
            assert int(uid) == owner
            assert int(mode, 8) & 0o022 == 0

    @scenario
    async def test_a_directory_that_others_can_write_is_not_used(self, client: Client, start_host: StartHost) -> None:
        host = start_host()
        host.run(["install", "-d", "-m", "777", "/var/lib/mikoshi/engine"])
        with pytest.raises(PathUnusable) as raised:
            await client.transport().open(at(host))
        assert raised.value.path == "/var/lib/mikoshi/engine"

    @scenario
    async def test_a_home_that_cannot_be_written_is_named(self, client: Client, start_host: StartHost) -> None:
        host = start_host(HostKind.PLAIN)
        host.run(["chown", "root:", "/home/deploy"])
        with pytest.raises(PathUnusable) as raised:
            await client.transport().open(at(host))
        assert raised.value.path.startswith("/home/deploy/.cache")
        assert raised.value.node == host.name

    @scenario
    async def test_a_full_disk_is_named(self, client: Client, start_host: StartHost) -> None:
        host = start_host(size="16m")
        host.disk.leave_free(size=8192)
        with pytest.raises(PathUnusable) as raised:
            await client.transport().open(at(host))
        assert raised.value.path.startswith("/var/lib/mikoshi")
        assert raised.value.reason
        host.disk.restore()
        await who(await client.transport().open(at(host)))

    # Python

    @scenario
    async def test_a_host_without_python_is_named(self, client: Client, start_host: StartHost) -> None:
        host = start_host(without=_pythons())
        with pytest.raises(PythonMissing) as raised:
            await client.transport().open(at(host))
        assert raised.value.found == ""

    @scenario
    async def test_a_python_that_is_too_old_is_named(self, client: Client, start_host: StartHost) -> None:
        host = start_host(without=_pythons())
        stub = host.root / "usr/bin/python3"
        stub.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.6.8 || echo 0 3.6.8\n')
        stub.chmod(0o755)
        with pytest.raises(PythonMissing) as raised:
            await client.transport().open(at(host))
        assert "3.6.8" in raised.value.found

    @scenario
    async def test_an_interpreter_that_was_replaced_is_found_again(self, client: Client, start_host: StartHost) -> None:
        host = start_host()
        await who(await client.transport().open(at(host)))
        recorded = host.root / f"var/lib/mikoshi/engine/{stand_in().digest}/python"
        recorded.write_text("/usr/bin/python3.0\n")
        await who(await client.transport().open(at(host)))
        assert Path(recorded.read_text().strip()).name.startswith("python3")
        again = await client.transport().open(at(host))
        assert again.traffic.bytes_sent < 4096
        await again.close()

    # Login shells

    @scenario
    async def test_what_a_login_shell_prints_first_is_skipped(self, client: Client, start_host: StartHost) -> None:
        host = start_host()
        (host.root / "root/.bashrc").write_text("echo Welcome; head -c 3000 /dev/zero; printf 'no newline'\n")
        for _ in range(2):
            assert (await who(await client.transport().open(at(host))))["uid"] == 0

    @scenario
    async def test_a_login_shell_that_prints_without_end_is_an_error(
        self, client: Client, start_host: StartHost
    ) -> None:
        host = start_host()
        (host.root / "root/.bashrc").write_text("head -c 300000 /dev/zero\n")
        with pytest.raises(InfrastructureError) as raised:
            await client.transport().open(at(host))
        assert raised.value.node == host.name

    @pytest.mark.parametrize("shell", ["/bin/dash", "/usr/bin/busybox", "/usr/bin/tcsh", "/usr/bin/fish"])
    @scenario
    async def test_any_login_shell_will_do(self, client: Client, start_host: StartHost, shell: str) -> None:
        if find_program(shell) is None:
            pytest.skip(f"needs {shell}: `make setup` as root on Debian installs it")
        host = start_host(HostKind.PLAIN)
        if shell.endswith("busybox"):
            (host.root / "usr/local/bin/ash").symlink_to(shell)
            shell = "/usr/local/bin/ash"
        host.run(["sed", "-i", f"/^deploy:/s|/bin/bash|{shell}|", "/etc/passwd"])
        for _ in range(2):
            assert (await who(await client.transport().open(at(host))))["uid"] == 1000
        shell_run = Shell(client.transport(), at(host))
        assert await shell_run.run('cat; printf %s "it\'s \\$HOME !"; exit 3', b"in ") == 3
        assert bytes(shell_run.out).endswith(b"in it's $HOME !")

    @scenario
    async def test_an_account_that_may_not_run_commands_is_an_error_with_its_words(
        self, client: Client, start_host: StartHost
    ) -> None:
        host = start_host(HostKind.PLAIN)
        stub = host.root / "usr/local/bin/refuse"
        stub.write_text("#!/bin/sh\necho no shell for you >&2\nexit 1\n")
        stub.chmod(0o755)
        host.run(["sed", "-i", "/^deploy:/s|/bin/bash|/usr/local/bin/refuse|", "/etc/passwd"])
        with pytest.raises(ConnectionLost) as raised:
            await client.transport().open(at(host))
        assert "no shell for you" in raised.value.detail

    # Reaching a host

    @scenario
    async def test_a_refused_port_is_unreachable(self, client: Client) -> None:
        with listener() as port:
            free = port
        with pytest.raises(HostUnreachable) as raised:
            await client.transport().open(Address("gone", "127.0.0.1", free))
        assert raised.value.node == "gone"
        assert raised.value.reason

    @scenario
    async def test_an_unknown_name_is_unreachable(self, client: Client) -> None:
        with pytest.raises(HostUnreachable) as raised:
            await client.transport().open(Address("typo", "no-such-host.invalid"))
        assert raised.value.node == "typo"

    @scenario
    async def test_a_host_that_accepts_and_never_speaks_times_out_by_name(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        with listener() as port:
            began = loop.time()
            with pytest.raises(HostTimeout) as raised:
                await client.transport(connect=1.0).open(Address("mute", "127.0.0.1", port))
            assert loop.time() - began < 3
        assert (raised.value.node, raised.value.phase) == ("mute", "log in")

    @scenario
    async def test_an_engine_that_does_not_start_times_out_by_name(self, client: Client, start_host: StartHost) -> None:
        host = start_host()
        (host.root / "root/.bashrc").write_text("echo wait; sleep 100\n")
        with pytest.raises(HostTimeout) as raised:
            await client.transport(connect=3.0).open(at(host))
        assert (raised.value.node, raised.value.phase) == (host.name, "start of the engine")

    @scenario
    async def test_connections_dropped_at_the_start_are_tried_again(self, client: Client) -> None:
        dropped = 0

        async def drop(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal dropped
            dropped += 1
            writer.transport.abort()

        async with await asyncio.start_server(drop, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(HostUnreachable):
                await client.transport(connect=8.0).open(Address("busy", "127.0.0.1", port))
        assert dropped >= 3

    @scenario
    async def test_a_host_that_dies_is_a_lost_connection(self, client: Client, start_host: StartHost) -> None:
        host = start_host()
        channel = await client.transport().open(at(host))
        await asyncio.to_thread(host.kill)
        with pytest.raises((ConnectionLost, HostTimeout)) as raised:
            await channel.read()
        assert raised.value.node == host.name
        await channel.close()

    @scenario
    async def test_a_host_that_stops_answering_times_out_by_name(self, client: Client, start_host: StartHost) -> None:
        host = start_host()
        channel = await client.transport(keepalive=1.0).open(at(host))
        await asyncio.to_thread(host.pause)
        try:
            with pytest.raises(HostTimeout) as raised:
                await asyncio.wait_for(channel.read(), 20)
            assert raised.value.node == host.name
            assert raised.value.phase == "keep-alive"
            assert await seconds(channel.close()) < 2
        finally:
            await asyncio.to_thread(host.resume)

    @scenario
    async def test_no_more_connections_are_open_than_allowed(
        self, client: Client, shared: dict[HostKind, Host]
    ) -> None:
        transport = client.transport(connections=2)
        here = at(shared[HostKind.ROOT])
        first, second = await asyncio.gather(transport.open(here), transport.open(here))
        third = asyncio.create_task(transport.open(here))
        assert await Talk(second).echo(b"x") == b"x"
        await asyncio.sleep(0.3)
        assert not third.done()
        await first.close()
        channel = await third
        assert await Talk(channel).echo(b"x") == b"x"
        await channel.close()
        await second.close()

    @scenario
    async def test_a_failed_open_gives_its_place_back(self, client: Client, shared: dict[HostKind, Host]) -> None:
        transport = client.transport(connections=1)
        for _ in range(2):
            with pytest.raises(HostUnreachable):
                await transport.open(Address("typo", "no-such-host.invalid"))
        await who(await transport.open(at(shared[HostKind.ROOT])))

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
            await client.transport(_only(key), keys=False).open(at(host))
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
        await who(await client.transport(_only(key), keys=False).open(at(shared[HostKind.PLAIN])))

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
                await client.transport(_only(tmp_path / "missing", "IdentitiesOnly no"), keys=False).open(at(host))
            )
            await who(await client.transport(_only(only_public), keys=False).open(at(host)))
            with pytest.raises(AuthenticationFailed):
                await client.transport(_only(tmp_path / "missing"), keys=False).open(at(host))
            with pytest.raises(AuthenticationFailed):
                await client.transport(_only(only_public, "IdentityAgent none"), keys=False).open(at(host))

    # Through others

    @scenario
    async def test_a_host_behind_others_is_reached_through_them(
        self, client: Client, shared: dict[HostKind, Host]
    ) -> None:
        first, second, target = (shared[kind] for kind in HostKind)
        jumps = f"Host {target.name}\nProxyJump {first.name},{second.user}@{second.name}:{second.port}\nMatch all"
        logins = [host.log.count("Accepted publickey") for host in (first, second, target)]
        channel = await client.transport(jumps).open(at(target))
        assert (await who(channel))["uid"] == 1000
        now = [host.log.count("Accepted publickey") for host in (first, second, target)]
        assert [after - before for before, after in zip(logins, now, strict=True)] == [1, 1, 1]

    @scenario
    async def test_a_jump_host_is_believed_no_more_than_others(
        self, client: Client, shared: dict[HostKind, Host], tmp_path: Path
    ) -> None:
        first, target = shared[HostKind.ROOT], shared[HostKind.PLAIN]
        known = tmp_path / "known"
        config = f"Host {first.name}\nUserKnownHostsFile {known}\nStrictHostKeyChecking accept-new\n"
        with pytest.raises((HostKeyUnknown, HostUnreachable)) as raised:
            await client.transport(f"{config}Host {target.name}\nProxyJump {first.name}\nMatch all").open(at(target))
        assert raised.value.node == target.name
        assert not known.exists()

    @scenario
    async def test_a_jump_to_nowhere_is_unreachable(self, client: Client, shared: dict[HostKind, Host]) -> None:
        first, target = shared[HostKind.ROOT], shared[HostKind.PLAIN]
        with listener() as port:
            free = port
        config = f"Host {target.name}\nProxyJump {first.name}\nHostName 127.0.0.1\nPort {free}\nMatch all"
        with pytest.raises(HostUnreachable) as raised:
            await client.transport(config).open(at(target))
        assert raised.value.node == target.name

    @scenario
    async def test_a_proxy_command_is_run_by_a_shell_and_its_complaints_do_no_harm(
        self, client: Client, shared: dict[HostKind, Host], tmp_path: Path
    ) -> None:
        host = shared[HostKind.ROOT]
        relay = tmp_path / "relay.py"
        relay.write_text(_RELAY)
        config = f"Host {host.name}\nProxyCommand /usr/bin/env VIA=1 python3 {relay} %h %p\nMatch all"
        await who(await client.transport(config).open(at(host)))

    @scenario
    async def test_a_proxy_command_that_fails_is_unreachable_with_its_words(
        self, client: Client, shared: dict[HostKind, Host]
    ) -> None:
        host = shared[HostKind.ROOT]
        config = f"Host {host.name}\nProxyCommand sh -c 'echo the tunnel is shut >&2; exit 1'\nMatch all"
        with pytest.raises(HostUnreachable) as raised:
            await client.transport(config).open(at(host))
        assert "the tunnel is shut" in raised.value.reason


class SshShellContract(RemoteShellContract):
    """The remote shell by SSH."""

    @pytest.fixture
    def shell(self, client: Client, start_host: StartHost) -> Shell:
        host = start_host(HostKind.PLAIN)
        return Shell(client.transport(), at(host))

    @scenario
    async def test_a_cancelled_command_is_hung_up(self, client: Client, start_host: StartHost) -> None:
        host = start_host(HostKind.PLAIN)
        shell = Shell(client.transport(), at(host))
        running = asyncio.create_task(shell.run("echo $$; exec cat", _open_input()))
        assert await eventually(lambda: bytes(shell.out).strip().isdigit())
        pid = int(shell.out)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert await eventually(lambda: not (host.root / f"proc/{pid}").exists())

    @scenario
    async def test_a_host_that_dies_under_a_command_is_a_lost_connection(
        self, client: Client, start_host: StartHost
    ) -> None:
        host = start_host(HostKind.PLAIN)
        shell = Shell(client.transport(), at(host))
        running = asyncio.create_task(shell.run("echo here; exec sleep 100"))
        assert await eventually(lambda: bool(shell.out))
        await asyncio.to_thread(host.kill)
        with pytest.raises((ConnectionLost, HostTimeout)) as raised:
            await running
        assert raised.value.node == host.name

    @scenario
    async def test_a_failed_login_is_named(self, client: Client) -> None:
        with pytest.raises(HostUnreachable) as raised:
            await Shell(client.transport(), Address("typo", "no-such-host.invalid")).run("true")
        assert raised.value.node == "typo"


_RELAY = """\
import os, socket, sys, threading
sys.stderr.write("about to connect\\n")
sys.stderr.flush()
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while data := os.read(0, 65536):
        peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := peer.recv(65536):
    os.write(1, data)
"""


async def _open_input() -> AsyncIterator[bytes]:
    await asyncio.sleep(100)
    yield b""


def _only(key: Path, more: str = "IdentitiesOnly yes") -> str:
    """A configuration that offers one key."""
    return f"IdentityFile {key}\n{more}"


def _hashed(name: str, key: str) -> str:
    """A known_hosts line with a hashed name (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT)."""
    salt = b"salt salt salt salt!"
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{b64encode(salt).decode()}|{b64encode(digest).decode()} {key}\n"


def _pythons() -> tuple[str, ...]:
    """Every python3 of this machine where a host looks for one."""
    return tuple(
        str(path)
        for directory in ("/usr/bin", "/usr/local/bin", "/bin")
        for path in Path(directory).glob("python3*")
        if directory != "/bin" or not Path("/bin").is_symlink()
    )
