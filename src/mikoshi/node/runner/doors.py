"""The name of the runner's socket: through an open directory, since a socket's path may have 107 bytes only."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

NAME = "runner.sock"


@contextmanager
def _short(root: str) -> Iterator[str]:
    directory = os.open(os.path.join(root, "run"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}"
    finally:
        os.close(directory)


def serve(root: str) -> socket.socket:
    """Listen below the environment's directory, in place of whoever did before. Only the same user and root may."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short(root) as directory:
        with suppress(FileNotFoundError):
            os.unlink(f"{directory}/{NAME}.new")
        mask = os.umask(0o177)
        try:
            server.bind(f"{directory}/{NAME}.new")
        finally:
            os.umask(mask)
        server.listen(16)
        os.rename(f"{directory}/{NAME}.new", f"{directory}/{NAME}")
    return server


def connect(root: str) -> socket.socket:
    """A connection to the runner. Raises OSError where there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(root) as directory:
            connection.connect(f"{directory}/{NAME}")
    except OSError:
        connection.close()
        raise
    return connection
