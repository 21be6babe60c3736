"""Gets a listening socket back from a process that still has it, when everybody else who had it is dead.

pidfd_getfd(2), Linux 5.6: allowed to whoever may trace the process, so to root, and to its own user where the machine's
policy (Yama) lets it.
"""

from __future__ import annotations

import ctypes
import os
import socket
from contextlib import suppress

from mikoshi.node.runner import processes, sockets

_PIDFD_GETFD = 438  # the same number on every architecture: it is younger than their unification


def rescued(pid: int, listen: str) -> int:
    """A descriptor of the socket that a process or one of its children listens on at this address; -1 for none."""
    inodes = {str(row.inode) for row in sockets.rows() if row.listening and row.port == _port(listen)}
    for member in processes.tree(pid):
        for number in _descriptors(member, inodes):
            found = _taken(member, number)
            if found >= 0:
                return found
    return -1


def _port(listen: str) -> int:
    return sockets.host_and_port(listen)[1]


def _descriptors(pid: int, inodes: set[str]) -> list[int]:
    found = []
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                target = os.readlink(f"/proc/{pid}/fd/{name}")
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    found.append(int(name))
    return found


def _taken(pid: int, number: int) -> int:
    try:
        process = os.pidfd_open(pid)
    except (OSError, AttributeError):
        return -1
    try:
        found = int(ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, number, 0))
    finally:
        os.close(process)
    if found < 0:
        return -1
    with socket.socket(fileno=os.dup(found)) as one:
        if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return found
    os.close(found)
    return -1
