"""What both SSH clients must hold on the way to a host: what refuses, hangs, drops or dies, and hosts behind others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mikoshi.core.address import Address
from mikoshi.core.errors import (
    ConnectionLost,
    HostKeyUnknown,
    HostTimeout,
    HostUnreachable,
)
from mikoshi.testing.hosts import Host, HostKind
from tests.contract.scenario import eventually, scenario, seconds
from tests.contract.ssh_client import Client, at, listener, who
from tests.contract.stand_in import Talk
from tests.host_fixtures import StartHost


class SshReachContract:
    """Every failure has its own name and the node's."""

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
        config = f"Host {host.name}\nProxyCommand /usr/bin/env VIA=1 python3 {relay} %h %p {tmp_path}/pid\nMatch all"
        await who(await client.transport(config).open(at(host)))
        process = Path("/proc", (tmp_path / "pid").read_text())
        assert await eventually(lambda: not process.exists())

    @scenario
    async def test_a_proxy_command_that_fails_is_unreachable_with_its_words(
        self, client: Client, shared: dict[HostKind, Host]
    ) -> None:
        host = shared[HostKind.ROOT]
        config = f"Host {host.name}\nProxyCommand sh -c 'echo the tunnel is shut >&2; exit 1'\nMatch all"
        with pytest.raises(HostUnreachable) as raised:
            await client.transport(config).open(at(host))
        assert "the tunnel is shut" in raised.value.reason


_RELAY = """\
import os, socket, sys, threading
sys.stderr.write("about to connect\\n")
sys.stderr.flush()
with open(sys.argv[3], "w") as file:
    file.write(str(os.getpid()))
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def up():
    while data := os.read(0, 65536):
        peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := peer.recv(65536):
    os.write(1, data)
"""
