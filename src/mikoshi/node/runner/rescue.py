"""Gets a listening socket back from a process that still has it, when everybody else who had it is dead.

pidfd_getfd(2), Linux 5.6: allowed to whoever may trace the process, so to root, and to its own user where the machine's
policy (Yama) lets it.
"""

from __future__ import annotations

import ctypes
import os
import socket

from mikoshi.node.runner import processes, sockets

_PIDFD_GETFD = 438  # the same number on every architecture: it is younger than their unification


def rescued(pid: int, listen: str) -> int:
    """A descriptor of the socket that a process or one of its children listens on at this address; -1 for none."""
    port = sockets.host_and_port(listen)[1]
    inodes = {row.inode for row in sockets.rows() if row.listening and row.port == port}
    for member in processes.tree(pid):
        for number in [number for number, inode in sockets.sockets_of(member).items() if inode in inodes]:
            found = _taken(member, number)
            if found >= 0:
                return found
    return -1


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
