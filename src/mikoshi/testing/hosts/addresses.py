"""Loopback addresses that no other fleet on this machine uses at the same time.

A reservation is a name in the kernel's abstract socket namespace. That has the scope of the loopback device
(one network namespace), and the kernel gives it back when its holder dies: there is no lock file to go stale.
"""

from __future__ import annotations

import errno
import socket
from types import TracebackType
from typing import Self

PORT = 2222
_NETWORKS = range(1, 33)
_NUMBERS = range(1, 255)


class ReservedAddress:
    """An address 127.0.W.N, ours until closed."""

    def __init__(self, address: str, holder: socket.socket) -> None:
        self.address = address
        self._holder = holder

    def close(self) -> None:
        """Give the address back."""
        self._holder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def reserve_address() -> ReservedAddress:
    """The lowest address of 127.0.1.1 … 127.0.32.254 that is free and on which nobody listens on PORT."""
    for network in _NETWORKS:
        for number in _NUMBERS:
            reserved = _reserve(f"127.0.{network}.{number}")
            if reserved is not None:
                return reserved
    raise OSError(errno.EADDRNOTAVAIL, "every loopback address for test hosts is taken")


def _reserve(address: str) -> ReservedAddress | None:
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(f"\0mikoshi-test-host/{address}")
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, PORT))
    except OSError as problem:
        holder.close()
        if problem.errno == errno.EADDRINUSE:
            return None
        raise
    return ReservedAddress(address, holder)
