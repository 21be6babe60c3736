"""What both SSH clients must hold of the host they reach, against real sshd: engine, Python, login shell, remote shell.

A test class inherits it and says in `client` how its transport is made of options.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mikoshi.core.address import Address
from mikoshi.core.errors import (
    ConnectionLost,
    HostTimeout,
    HostUnreachable,
    InfrastructureError,
    PathUnusable,
    PythonMissing,
)
from mikoshi.testing.hosts import Host, HostKind
from tests.contract.remote_contract import RemoteShellContract, Shell
from tests.contract.scenario import eventually, scenario
from tests.contract.ssh_client import Client, at, who
from tests.contract.stand_in import stand_in
from tests.contract.transport_contract import TransportContract, Way
from tests.host_fixtures import StartHost
from tests.requirements import find_program


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


async def _open_input() -> AsyncIterator[bytes]:
    await asyncio.sleep(100)
    yield b""


def _pythons() -> tuple[str, ...]:
    """Every python3 of this machine where a host looks for one."""
    return tuple(
        str(path)
        for directory in ("/usr/bin", "/usr/local/bin", "/bin")
        for path in Path(directory).glob("python3*")
        if directory != "/bin" or not Path("/bin").is_symlink()
    )
