"""Names become adapters here, imported when needed: nowhere else is known which class stands behind a word."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mikoshi.core.errors import WrongUsage

if TYPE_CHECKING:
    from mikoshi.adapters.transports.ssh_options import SshOptions
    from mikoshi.config.model import Environment, SshConfig
    from mikoshi.core.address import Address
    from mikoshi.core.events import Event
    from mikoshi.engine.fleet import Fleet
    from mikoshi.engine.probing.probe import Asked, Probe
    from mikoshi.packing.library import Library
    from mikoshi.ports.remote import RemoteShell, Sink
    from mikoshi.ports.transport import Channel, Transport

    class Way(Transport, RemoteShell, Protocol):
        """What the transports here are: both ways to use a host."""


def library() -> Library:
    """The releases kept on this machine."""
    from mikoshi.packing.library import Library
    from mikoshi.packing.places import data_directory

    return Library(data_directory())


def cache_directory() -> Path:
    """Where what can be made again is kept."""
    from mikoshi.packing.places import cache_directory

    return cache_directory()


def state_directory() -> Path:
    """`$XDG_STATE_HOME/mikoshi`: this machine's audit trail."""
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return root / "mikoshi"


def fleet(environment: Environment, emit: Callable[[Event], None]) -> Fleet:
    """The environment's nodes, not yet connected. Use it as an asynchronous context.

    Raises WrongUsage if there are more nodes than connections may be open at once: a deploy holds them all.
    """
    from mikoshi.adapters.clock import SystemClock
    from mikoshi.engine.fleet import Fleet, Target

    remote = [host for host in environment.hosts if not host.address.local]
    if len(remote) > environment.ssh.connections:
        limit = f"ssh = {{ connections = {environment.ssh.connections} }}"
        raise WrongUsage(f"{environment.name} has {len(remote)} hosts, but {limit} allows fewer at once: raise it")
    target = Target(
        app=environment.app,
        env=environment.name,
        addresses=tuple(host.address for host in environment.hosts),
        anchor=environment.anchor,
        path=environment.path,
        run_as=environment.run_as,
    )
    return Fleet(target, Routes(environment.ssh), SystemClock(), emit)


def probe(asked: Asked, emit: Callable[[Event], None]) -> Probe:
    """A probe that has not begun. Raises WrongUsage for a URL that cannot be asked."""
    from mikoshi.adapters.clock import SystemClock
    from mikoshi.adapters.web.site import HttpSite
    from mikoshi.adapters.web.url import parsed
    from mikoshi.engine.probing.probe import Probe

    site = HttpSite(parsed(asked.url), asked.header, asked.limit)
    return Probe(asked, site, SystemClock(), emit)


def remote_shell(ssh: SshConfig) -> RemoteShell:
    """How to run commands on a build host, by the same ways as nodes are reached."""
    return Routes(ssh)


class Routes:
    """Transport and RemoteShell of an environment: each address by the way that it needs, made when first used."""

    def __init__(self, ssh: SshConfig) -> None:
        self._ssh = ssh
        self._made: dict[str, Way] = {}

    async def open(self, address: Address) -> Channel:
        """A channel to the engine on `address`; see ports.transport."""
        return await self._way(address).open(address)

    async def run(
        self,
        address: Address,
        command: str,
        stdin: AsyncIterator[bytes] | bytes = b"",
        stdout: Sink | None = None,
        stderr: Sink | None = None,
    ) -> int:
        """Run a shell command on `address`; see ports.remote."""
        return await self._way(address).run(address, command, stdin, stdout, stderr)

    def _way(self, address: Address) -> Way:
        way = "local" if address.local else self._ssh.client
        if way not in self._made:
            self._made[way] = _WAYS[way](self._ssh)
        return self._made[way]

    async def close(self) -> None:
        """Close what was made."""
        for transport in self._made.values():
            await transport.close()


def _local(ssh: SshConfig) -> Way:
    from mikoshi.adapters.transports.local import LocalTransport

    return LocalTransport(cache_directory(), connect=ssh.connect)


def _ssh_options(ssh: SshConfig) -> SshOptions:
    from mikoshi.adapters.transports.ssh_options import SshOptions

    return SshOptions(ssh.config, ssh.connect, ssh.keepalive, ssh.connections)


def _asyncssh(ssh: SshConfig) -> Way:
    from mikoshi.adapters.transports.ssh_asyncssh import AsyncsshTransport

    return AsyncsshTransport(_ssh_options(ssh))


def _openssh(ssh: SshConfig) -> Way:
    from mikoshi.adapters.transports.ssh_openssh import OpensshTransport

    return OpensshTransport(_ssh_options(ssh))


_WAYS: dict[str, Callable[[SshConfig], Way]] = {
    "local": _local,
    "asyncssh": _asyncssh,
    "openssh": _openssh,
}
