"""How hosts are reached over SSH, whichever client does it. Only values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mikoshi.core.address import Address

KEEPALIVES = 3


@dataclass(frozen=True)
class SshOptions:
    """`config`: this file instead of the user's and the system's. Durations in seconds.

    `connect` covers everything until the engine speaks. A host that leaves three questions in a row, one every
    `keepalive`, without an answer is given up. `connections` may be open at once; more wait for one to close.
    """

    config: Path | None = None
    connect: float = 10.0
    keepalive: float = 15.0
    connections: int = 100

    @property
    def silence(self) -> float:
        """After how many seconds without an answer a connection is given up."""
        return self.keepalive * (KEEPALIVES + 1)


def place(host: str, port: int) -> str:
    """A host and port as people write them; the usual port is left out."""
    bare = f"[{host}]" if ":" in host and port != 22 else host
    return bare if port == 22 else f"{bare}:{port}"


def jump_address(name: str, spec: str) -> Address:
    """One hop of ProxyJump: `[user@]host[:port]` or `ssh://…`. `name` is the node's behind it. Raises ValueError."""
    user, _, rest = spec.strip().removeprefix("ssh://").rstrip("/").rpartition("@")
    if rest.startswith("["):
        host, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    elif rest.count(":") == 1:
        host, _, port = rest.partition(":")
    else:
        host, port = rest, ""
    return Address(name, host, int(port or 0), user)
