"""Listening sockets: how an address is opened, and who has it if it cannot be."""

from __future__ import annotations

import errno
import os
import re
import socket

from mikoshi.core.errors import AddressUnusable, PortTaken
from mikoshi.node.runner import processes

BACKLOG = 4096  # the kernel cuts it to net.core.somaxconn
_LISTENING = "0A"
_INODE = re.compile(r"socket:\[(\d+)\]\Z")


def host_and_port(listen: str) -> tuple[str, int]:
    """The parts of "ADDRESS:PORT", an IPv6 address without its brackets."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def family_of(host: str) -> socket.AddressFamily:
    """IPv6 for an address with colons, else IPv4."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def open_listener(process: str, listen: str) -> socket.socket:
    """A listening socket. Raises PortTaken, with the process that has it, and AddressUnusable."""
    host, port = host_and_port(listen)
    listener = socket.socket(family_of(host), socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family_of(host) == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            pid = owner_of_port(port)
            raise PortTaken(process, listen, pid, processes.name(pid) if pid else "") from error
        raise AddressUnusable(process, listen, error.strerror or str(error)) from error
    return listener


def private_listener(listen: str) -> socket.socket:
    """A listening socket that nobody knows, on loopback, in the family of a public address."""
    family = family_of(host_and_port(listen)[0])
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
    listener.listen(BACKLOG)
    return listener


def address_of(listener: socket.socket) -> str:
    """Where a socket listens, as it is configured: "127.0.0.1:8080"."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def owner_of_port(port: int) -> int:
    """The process that listens on a port; 0 if it cannot be seen (somebody else's, without root)."""
    inodes = {row.inode for row in rows() if row.listening and row.port == port}
    for pid in processes.all_pids():
        if inodes & inodes_of(pid):
            return pid
    return 0


class Row:
    """One line of /proc/net/tcp: its own port, the peer's, whether it listens, and the socket's inode."""

    def __init__(self, line: str) -> None:
        fields = line.split()
        self.port = int(fields[1].rpartition(":")[2], 16)
        self.peer_port = int(fields[2].rpartition(":")[2], 16)
        self.listening = fields[3] == _LISTENING
        self.inode = int(fields[9])


def rows() -> list[Row]:
    """Every TCP socket of this network namespace (proc(5): /proc/net/tcp)."""
    found = []
    for path in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            with open(path, encoding="ascii") as file:
                found += [Row(line) for line in file.readlines()[1:]]
        except OSError:
            continue
    return found


def sockets_of(pid: int) -> dict[int, int]:
    """The sockets that a process has open: descriptor → inode; none if it may not be looked at."""
    found = {}
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                match = _INODE.match(os.readlink(f"/proc/{pid}/fd/{name}"))
            except OSError:
                continue  # closed meanwhile
            if match:
                found[int(name)] = int(match.group(1))
    except OSError:
        return {}
    return found


def inodes_of(pid: int) -> set[int]:
    """The inodes of the sockets that a process has open."""
    return set(sockets_of(pid).values())
