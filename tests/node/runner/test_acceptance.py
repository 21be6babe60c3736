"""Whose a connection is: asked of the kernel in both ways, over both families."""

from __future__ import annotations

import os
import socket

import pytest

from mikoshi.node.runner import acceptance, sock_diag


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request: pytest.FixtureRequest) -> socket.socket:
    """A listening socket."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    return socket.create_server((request.param, 0), family=family)


@pytest.mark.parametrize("netlink", [True, False])
def test_a_connection_is_whose_who_accepted_it(
    listener: socket.socket, netlink: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not netlink:
        monkeypatch.setattr(sock_diag, "inode", _unable)
    with listener, socket.create_connection(listener.getsockname()[:2]) as connection:
        assert acceptance.taker(connection, {7: os.getpid()}, 0.05) is None
        accepted, _ = listener.accept()
        with accepted:
            assert acceptance.taker(connection, {7: os.getpid()}, 1.0) == 7
            assert acceptance.taker(connection, {}, 1.0) == 0


def _unable(*_arguments: object) -> int:
    raise OSError


def test_the_kernel_answers_as_proc_says(listener: socket.socket) -> None:
    with listener, socket.create_connection(listener.getsockname()[:2]) as connection:
        accepted, _ = listener.accept()
        with accepted:
            found = sock_diag.inode(connection.family, connection.getpeername(), connection.getsockname())
            assert found == os.fstat(accepted.fileno()).st_ino
        closed = ("::1" if connection.family == socket.AF_INET6 else "127.0.0.1", 1)
        assert sock_diag.inode(connection.family, closed, connection.getsockname()) == 0
