"""Which process took a connection. Two generations listen on one socket, so an answer alone does not say whose it is.

The kernel gives the inode of the socket at the other end once it was accepted (sock_diag(7); where that is not
to be had proc(5): /proc/net/tcp), and /proc/PID/fd says who has it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from mikoshi.node.runner import processes, sock_diag, sockets

_LOOK = 0.002


def taker(connection: socket.socket, instances: Mapping[int, int], within: float) -> int | None:
    """Whose the other end of a connection to this machine is: an id of `instances` (id → pid), 0 for somebody
    else's, None if nobody accepted it within so many seconds."""
    deadline = time.monotonic() + within
    while True:
        inode = _inode(connection)
        if inode:
            return _owner(inode, instances)
        if time.monotonic() > deadline:
            return None
        time.sleep(_LOOK)


def _inode(connection: socket.socket) -> int:
    """The inode of the other end; 0 while nobody has accepted it."""
    own, other = connection.getsockname(), connection.getpeername()
    try:
        return sock_diag.inode(connection.family, other, own)
    except OSError:
        found = ((row.port, row.peer_port, row.inode) for row in sockets.rows())
        return next((inode for port, peer, inode in found if (port, peer) == (other[1], own[1])), 0)


def _owner(inode: int, instances: Mapping[int, int]) -> int:
    for number, pid in instances.items():
        if any(inode in sockets.inodes_of(member) for member in processes.tree(pid)):
            return number
    return 0


def opened_itself(pid: int, given: str) -> str:
    """An address that a process or one of its children listens on and was not given; "" for none."""
    given_port = sockets.host_and_port(given)[1]
    inodes = {inode for member in processes.tree(pid) for inode in sockets.inodes_of(member)}
    for row in sockets.rows():
        if row.listening and row.inode in inodes and row.port != given_port:
            return str(row.port)
    return ""
