"""Logs in to a host by asyncssh, through as many others as its configuration says, and says exactly what went wrong."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import asyncssh

from mikoshi.adapters.transports.known_hosts import Trust
from mikoshi.adapters.transports.progress import Progress
from mikoshi.adapters.transports.proxy_command import ProxyCommand
from mikoshi.adapters.transports.settings import Settings, read_settings
from mikoshi.adapters.transports.ssh_options import KEEPALIVES, SshOptions, jump_address, place
from mikoshi.core.address import Address
from mikoshi.core.errors import (
    AuthenticationFailed,
    HostKeyChanged,
    HostKeyUnknown,
    HostUnreachable,
    MikoshiError,
    SshConfigUnusable,
)

_ATTEMPTS = 5
_PAUSE = 0.1  # seconds, doubled each time, with jitter
_HOPS = 8
# asyncssh prefers ChaCha20, which costs it twice as much time a byte. Both are OpenSSH's defaults; the server agrees.
_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"


@dataclass
class Connection:
    """A login and what it goes through: other logins, outermost last, or a command."""

    ssh: asyncssh.SSHClientConnection
    via: Connection | None = None
    proxy: ProxyCommand | None = None

    def abort(self) -> None:
        """Drop all of it at once."""
        self.ssh.abort()
        if self.proxy is not None:
            self.proxy.end()
        if self.via is not None:
            self.via.abort()

    async def close(self) -> None:
        """Say goodbye on all of it, and wait until it is gone."""
        self.ssh.close()
        await self.ssh.wait_closed()
        if self.proxy is not None:
            self.proxy.end()
        if self.via is not None:
            await self.via.close()


class _Watcher(asyncssh.SSHClient):
    """Sees how far one connection comes, and which key the host shows."""

    def __init__(self, progress: Progress, trust: Trust) -> None:
        self._progress = progress
        self._trust = trust
        self.connected = False
        self.authenticating = False
        self.shown = ""

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:  # noqa: ARG002 - asyncssh's signature
        self.connected = True
        self._progress.phase = "log in"

    def begin_auth(self, username: str) -> None:  # noqa: ARG002 - asyncssh's signature
        self.authenticating = True

    def validate_host_public_key(
        self,
        host: str,  # noqa: ARG002 - asyncssh's signature
        addr: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        key: asyncssh.SSHKey,
    ) -> bool:
        """Asked only for keys that are not among the known ones: a pinned fingerprint is the one reason for yes."""
        self.shown = key.get_fingerprint()
        return self.shown == self._trust.fingerprint

    def validate_host_ca_key(
        self,
        host: str,  # noqa: ARG002 - asyncssh's signature
        addr: str,  # noqa: ARG002
        port: int,  # noqa: ARG002
        key: asyncssh.SSHKey,
    ) -> bool:
        """Asked only for authorities that are not among the known ones."""
        self.shown = key.get_fingerprint()
        return False


class _NoKeys(list[Any]):
    """No key files at all. asyncssh takes an empty list for "the usual ones"."""

    def __bool__(self) -> bool:
        return True


@dataclass
class _Way:
    """What is constant on the way to one node."""

    node: str
    options: SshOptions
    progress: Progress
    hops: int = field(default=0)


async def log_in(address: Address, options: SshOptions, progress: Progress) -> Connection:
    """A connection to `address`, authenticated. Has no time limit of its own.

    Raises HostUnreachable, AuthenticationFailed, HostKeyUnknown, HostKeyChanged or SshConfigUnusable.
    """
    try:
        return await _reach(address, None, _Way(address.name, options, progress))
    except MikoshiError as error:
        raise error.on(address.name) from None


async def _reach(address: Address, via: Connection | None, way: _Way) -> Connection:
    """Log in to `address` through `via`; None: through what its own configuration names."""
    way.hops += 1
    if way.hops > _HOPS:
        raise SshConfigUnusable(str(way.options.config or "~/.ssh/config"), "ProxyJump", "it leads in a circle")
    settings = await asyncio.to_thread(read_settings, address, way.options.config)
    async with AsyncExitStack() as undo:
        if via is None:
            for spec in settings.jumps:
                via = await _reach(_jump(way, spec), via, way)
                undo.callback(via.abort)
        connection = await _connect(address, settings, via, way)
        undo.pop_all()
        return connection


def _jump(way: _Way, spec: str) -> Address:
    try:
        return jump_address(way.node, spec)
    except ValueError:
        raise SshConfigUnusable(str(way.options.config or "~/.ssh/config"), "ProxyJump", spec) from None


async def _connect(address: Address, settings: Settings, via: Connection | None, way: _Way) -> Connection:
    """Connect once, and again while the host drops us before it says who it is: sshd's MaxStartups does that."""
    arguments = _arguments(address, settings, via, way.options)
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            await asyncio.sleep(random.uniform(0.5, 1.5) * _PAUSE * 2**attempt)
        way.progress.phase = "connect"
        way.progress.traffic.connects += 1
        watcher = _Watcher(way.progress, settings.trust)
        try:
            proxy = ProxyCommand.start("" if via else settings.proxy_command)
        except OSError as error:
            raise _explained(error, watcher, settings) from None
        try:
            return Connection(await _greet(watcher, proxy, arguments), via, proxy)
        except (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError) as error:
            if watcher.authenticating or watcher.shown or not watcher.connected:
                raise _explained(error, watcher, settings) from None
            reason = (proxy.last_words if proxy else "") or reason or str(error)
        except (asyncssh.Error, OSError, ValueError) as error:
            raise _explained(error, watcher, settings) from None
    raise HostUnreachable(place(settings.host, settings.port), reason)


async def _greet(
    watcher: _Watcher, proxy: ProxyCommand | None, arguments: dict[str, Any]
) -> asyncssh.SSHClientConnection:
    """Connect once, through `proxy` if there is one, which ends if that fails."""
    if proxy is None:
        return await asyncssh.connect(client_factory=lambda: watcher, **arguments)
    try:
        return await asyncssh.connect(client_factory=lambda: watcher, sock=proxy.socket, **arguments)
    except BaseException:
        if not watcher.connected:  # nobody took it
            proxy.socket.close()
        proxy.end()
        raise


def _arguments(address: Address, settings: Settings, via: Connection | None, options: SshOptions) -> dict[str, Any]:
    """asyncssh.connect's arguments: what must not be left to its own reading of the configuration."""
    identities, trust = settings.identities, settings.trust
    arguments: dict[str, Any] = {
        "host": address.host,
        "port": address.port or (),
        "username": address.user or (),
        "config": [str(file) for file in settings.files],
        "tunnel": via.ssh if via else None,
        "proxy_command": None,
        "known_hosts": trust.lookup,
        "x509_trusted_certs": None,
        "x509_trusted_cert_paths": [],
        "client_keys": list(identities.keys) or _NoKeys(),
        "client_certs": [],
        "ignore_encrypted": True,
        "agent_path": identities.agent,
        "agent_identities": None if identities.agent_keys is None else list(identities.agent_keys),
        "agent_forwarding": False,
        "connect_timeout": None,
        "login_timeout": 0,
        "keepalive_interval": options.keepalive,
        "keepalive_count_max": KEEPALIVES,
    }
    if "Ciphers" not in settings.chosen:
        arguments["encryption_algs"] = _CIPHERS
    if "HostKeyAlgorithms" not in settings.chosen:
        arguments["server_host_key_algs"] = trust.algorithms()
    return arguments


def _explained(error: Exception, watcher: _Watcher, settings: Settings) -> MikoshiError:
    """The typed error for what asyncssh raised."""
    where = place(settings.host, settings.port)
    match error:
        case asyncssh.HostKeyNotVerifiable():
            kind = HostKeyChanged if settings.trust.known or not watcher.shown else HostKeyUnknown
            return kind(settings.host, settings.port, watcher.shown)
        case asyncssh.PermissionDenied():
            return AuthenticationFailed(settings.user, where)
        case asyncssh.ConnectionLost():
            return HostUnreachable(where, error.reason)
        case asyncssh.Error():
            if watcher.authenticating:  # "Too many authentication failures" is a disconnect
                return AuthenticationFailed(settings.user, where)
            return HostUnreachable(where, error.reason)
        case OSError():
            return HostUnreachable(where, error.strerror or str(error))
        case _:
            files = settings.files
            return SshConfigUnusable(str(files[0]) if files else "", "", str(error))
