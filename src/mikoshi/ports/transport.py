"""The way to a node: open a byte channel to a running node engine there.

A transport connects, brings the engine along if the node lacks this version, starts it and hands over a channel that
speaks core.frames in both directions. It knows nothing of releases or leases. Every failure is an InfrastructureError
with the node's name set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Address:
    """One node as the configuration names it.

    `name` is unique in the environment and what people see. `host` "" means this machine, without SSH; then `label`
    tells several local nodes apart. `port` 0 and `user` "" leave the choice to the SSH configuration.
    """

    name: str
    host: str = ""
    port: int = 0
    user: str = ""
    label: str = ""
    host_key: str = ""

    @property
    def local(self) -> bool:
        """Whether the node is this machine, reached without SSH."""
        return not self.host


@dataclass
class Traffic:
    """What a channel has cost so far: connections opened, and bytes in the two directions."""

    connects: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0


class Channel(Protocol):
    """Two byte streams to one node engine."""

    @property
    def traffic(self) -> Traffic:
        """What this channel has cost so far."""
        ...

    async def write(self, data: bytes) -> None:
        """Send `data`; returns when the channel can take more. Raises ConnectionLost."""
        ...

    async def read(self) -> bytes:
        """The next bytes, b"" at the end of the stream. Raises ConnectionLost."""
        ...

    def last_words(self) -> str:
        """The last of what the remote side wrote to its error output, for a ConnectionLost."""
        ...

    async def close(self) -> None:
        """End the session; never raises and never waits longer than a second."""
        ...


class Transport(Protocol):
    """A way to open channels."""

    async def open(self, address: Address) -> Channel:
        """A channel to the engine on `address`.

        Raises HostUnreachable, HostTimeout, AuthenticationFailed, HostKeyUnknown, HostKeyChanged, PythonMissing,
        PathUnusable or TransportMissing.
        """
        ...

    async def close(self) -> None:
        """Give up what the transport keeps beyond single channels."""
        ...
