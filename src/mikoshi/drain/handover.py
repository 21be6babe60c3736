"""Finds the listening sockets that were handed over, and makes real sockets of them.

Three ways are understood: a descriptor named on the command line, systemd's LISTEN_FDS, and SERVER_STARTER_PORT of
Perl's Server::Starter. A descriptor that was announced and cannot be used is an error: to listen elsewhere instead
would look like success.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from mikoshi.drain.refused import Refused

# sd_listen_fds(3): the descriptors begin here, and are meant for the process LISTEN_PID alone.
FIRST = 3
LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES = "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"
SERVER_STARTER_PORT = "SERVER_STARTER_PORT"


@dataclass(frozen=True)
class Announced:
    """A descriptor, and what announced it."""

    fd: int
    by: str


def announced(option: int | None, environment: Mapping[str, str], pid: int) -> list[Announced]:
    """The descriptors for process `pid`; `option` is that of --fd. Empty if nothing was handed over. Raises Refused."""
    if option is not None:
        return [Announced(option, "--fd")]
    if environment.get(LISTEN_FDS) and environment.get(LISTEN_PID) == str(pid):
        count = _number(environment[LISTEN_FDS], LISTEN_FDS)
        return [Announced(FIRST + index, LISTEN_FDS) for index in range(count)]
    entries = [entry for entry in environment.get(SERVER_STARTER_PORT, "").split(";") if entry.strip()]
    return [Announced(_of_entry(entry), SERVER_STARTER_PORT) for entry in entries]


def take_sockets(option: int | None, environment: MutableMapping[str, str]) -> list[socket.socket]:
    """The handed over sockets, ready to accept on; empty if there are none. Raises Refused.

    They and their variables are kept from the processes that the application starts, which would otherwise hold the
    sockets open or serve on them.
    """
    sockets = [_listening(entry) for entry in announced(option, environment, os.getpid())]
    for name in (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES, SERVER_STARTER_PORT):
        environment.pop(name, None)
    return sockets


def _listening(entry: Announced) -> socket.socket:
    """A socket of the descriptor's own family: taken for another, every accepted connection costs an error."""
    try:
        found = socket.socket(fileno=entry.fd)
    except OSError as error:
        raise Refused(f"{entry.by}: descriptor {entry.fd} is not a socket: {error.strerror}") from None
    if not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        found.detach()
        raise Refused(f"{entry.by}: the socket of descriptor {entry.fd} does not listen")
    found.set_inheritable(False)
    return found


def _of_entry(entry: str) -> int:
    """The descriptor of `PORT=FD`, `HOST:PORT=FD` or `PATH=FD`."""
    _, equals, number = entry.rpartition("=")
    return _number(number if equals else entry + "=", SERVER_STARTER_PORT)


def _number(text: str, name: str) -> int:
    if not text.strip().isdecimal():
        raise Refused(f"{name}: expected the number of a descriptor, got {text!r}")
    return int(text)
