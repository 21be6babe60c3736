"""One shell command on one host, its streams and its exit status: what a build on another machine needs.

Apart from Transport, which brings a node engine along: a build host is no node and needs nothing but `sh` and
`tar`. An implementation never buffers a whole stream: sources and build outputs may be larger than memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol

from mikoshi.core.address import Address

Sink = Callable[[bytes], None]


class RemoteShell(Protocol):
    """A way to run commands on hosts. Connections may be kept open between calls."""

    async def run(
        self,
        address: Address,
        command: str,
        stdin: AsyncIterator[bytes] | bytes = b"",
        stdout: Sink | None = None,
        stderr: Sink | None = None,
    ) -> int:
        """Run `command` with `/bin/sh -c` on `address`; return its exit status (negative: killed by that signal).

        `stdin` is sent as the command takes it, then closed; a command that ends without reading it all is no
        error. `stdout` and `stderr` get the bytes as they arrive, in order, in the caller's event loop; reading
        goes on when they return, and what they raise ends the command and is raised. None drops the stream.
        Cancelling closes the channel and hangs the command up.

        Raises HostUnreachable, HostTimeout, AuthenticationFailed, HostKeyUnknown, HostKeyChanged,
        TransportMissing or ConnectionLost, with the node's name set.
        """
        ...

    async def close(self) -> None:
        """Give up connections that were kept."""
        ...
