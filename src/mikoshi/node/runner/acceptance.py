"""Which process took a connection. Two generations listen on one socket, so an answer alone does not say whose it is.

proc(5): /proc/net/tcp names the inode of each connection's socket once it was accepted, and /proc/PID/fd who has it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping

from mikoshi.node.runner import processes, sockets

_LOOK = 0.002


def taker(connection: socket.socket, instances: Mapping[int, int], within: float) -> int | None:
    """Whose the other end of a connection to this machine is: an id of `instances` (id → pid), 0 for somebody
    else's, None if nobody accepted it within so many seconds."""
    own_port, port = connection.getsockname()[1], connection.getpeername()[1]
    deadline = time.monotonic() + within
    while True:
        inode = _inode(port, own_port)
        if inode:
            return _owner(inode, instances)
        if time.monotonic() > deadline:
            return None
        time.sleep(_LOOK)


def _inode(port: int, peer_port: int) -> int:
    return next((row.inode for row in sockets.rows() if (row.port, row.peer_port) == (port, peer_port)), 0)


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
