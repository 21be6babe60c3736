"""SSH clients under test: made of options and a configuration, with addresses of the hosts of a fleet."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mikoshi.adapters.transports.engine_zip import EngineZip
from mikoshi.adapters.transports.ssh_options import SshOptions
from mikoshi.core.address import Address
from mikoshi.ports.transport import Channel
from mikoshi.testing.hosts import Host, HostFleet, HostKind, HostSpec
from tests.contract.stand_in import Talk, stand_in


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


def only(key: Path, more: str = "IdentitiesOnly yes") -> str:
    """A configuration that offers one key."""
    return f"IdentityFile {key}\n{more}"
