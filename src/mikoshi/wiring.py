"""Names become adapters here, imported when needed: nowhere else is known which class stands behind a word."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mikoshi.core.errors import WrongUsage

if TYPE_CHECKING:
    from mikoshi.adapters.transports.ssh_options import SshOptions
    from mikoshi.config.model import Environment, SshConfig
    from mikoshi.core.address import Address
    from mikoshi.core.events import Event
    from mikoshi.engine.fleet import Fleet
    from mikoshi.packing.library import Library
    from mikoshi.ports.transport import Channel, Transport


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


class Routes:
    """The transport of an environment: each address by the way that it needs, made when first used."""

    def __init__(self, ssh: SshConfig) -> None:
        self._ssh = ssh
        self._made: dict[str, Transport] = {}

    async def open(self, address: Address) -> Channel:
        """A channel to the engine on `address`; see ports.transport."""
        way = "local" if address.local else self._ssh.client
        if way not in self._made:
            self._made[way] = _TRANSPORTS[way](self._ssh)
        return await self._made[way].open(address)

    async def close(self) -> None:
        """Close what was made."""
        for transport in self._made.values():
            await transport.close()


def _local(ssh: SshConfig) -> Transport:
    from mikoshi.adapters.transports.local import LocalTransport

    return LocalTransport(cache_directory(), connect=ssh.connect)


def _ssh_options(ssh: SshConfig) -> SshOptions:
    from mikoshi.adapters.transports.ssh_options import SshOptions

    return SshOptions(ssh.config, ssh.connect, ssh.keepalive, ssh.connections)


def _asyncssh(ssh: SshConfig) -> Transport:
    from mikoshi.adapters.transports.ssh_asyncssh import AsyncsshTransport

    return AsyncsshTransport(_ssh_options(ssh))


def _openssh(ssh: SshConfig) -> Transport:
    from mikoshi.adapters.transports.ssh_openssh import OpensshTransport

    return OpensshTransport(_ssh_options(ssh))


_TRANSPORTS: dict[str, Callable[[SshConfig], Transport]] = {
    "local": _local,
    "asyncssh": _asyncssh,
    "openssh": _openssh,
}
