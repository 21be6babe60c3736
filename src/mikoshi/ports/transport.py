"""The way to a node: open a byte channel to a running node engine there.

A transport connects, brings the engine along if the node lacks this version, starts it and hands over a channel that
speaks core.frames in both directions. It knows nothing of releases or leases. Every failure is an InfrastructureError
with the node's name set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from mikoshi.core.address import Address


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
