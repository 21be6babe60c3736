"""Which descriptors a process takes for handed over, and what becomes of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from mikoshi.drain.handover import Announced, announced, take_sockets
from mikoshi.drain.refused import Refused
from mikoshi.drain.settings import drain_seconds

PID = 4711


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        (None, {}, []),
        (7, {"LISTEN_FDS": "1", "LISTEN_PID": "4711"}, [(7, "--fd")]),
        (0, {}, [(0, "--fd")]),
        (None, {"LISTEN_FDS": "1", "LISTEN_PID": "4711"}, [(3, "LISTEN_FDS")]),
        (None, {"LISTEN_FDS": "2", "LISTEN_PID": "4711"}, [(3, "LISTEN_FDS"), (4, "LISTEN_FDS")]),
        (None, {"LISTEN_FDS": "1", "LISTEN_PID": "4712"}, []),
        (None, {"LISTEN_FDS": "1"}, []),
        (None, {"SERVER_STARTER_PORT": "127.0.0.1:8080=5"}, [(5, "SERVER_STARTER_PORT")]),
        (
            None,
            {"SERVER_STARTER_PORT": "8080=5;[::1]:8081=6;"},
            [(5, "SERVER_STARTER_PORT"), (6, "SERVER_STARTER_PORT")],
        ),
        (None, {"SERVER_STARTER_PORT": "/run/a=b.sock=9"}, [(9, "SERVER_STARTER_PORT")]),
        (
            None,
            {"LISTEN_FDS": "1", "LISTEN_PID": "1", "SERVER_STARTER_PORT": "8080=5"},
            [(5, "SERVER_STARTER_PORT")],
        ),
        (
            None,
            {"LISTEN_FDS": "1", "LISTEN_PID": "4711", "SERVER_STARTER_PORT": "8080=5"},
            [(3, "LISTEN_FDS")],
        ),
    ],
)
def test_the_descriptor_comes_from_the_option_then_systemd_then_server_starter(
    option: int | None, environment: dict[str, str], expected: list[tuple[int, str]]
) -> None:
    assert announced(option, environment, PID) == [Announced(fd, by) for fd, by in expected]


@pytest.mark.parametrize(
    "environment",
    [
        {"LISTEN_FDS": "one", "LISTEN_PID": "4711"},
        {"SERVER_STARTER_PORT": "8080"},
        {"SERVER_STARTER_PORT": "8080=x"},
        {"SERVER_STARTER_PORT": "8080=-1"},
    ],
)
def test_what_is_no_descriptor_is_refused_by_the_name_of_its_variable(environment: dict[str, str]) -> None:
    with pytest.raises(Refused, match=next(iter(environment))):
        announced(None, environment, PID)


def test_a_socket_is_of_its_own_family_and_kept_from_children(listener: socket.socket) -> None:
    fd = os.dup(listener.fileno())
    os.set_inheritable(fd, True)
    environment = {"SERVER_STARTER_PORT": f"x={fd}", "LISTEN_FDS": "1", "LISTEN_PID": "1", "PORT": "1"}
    [taken] = take_sockets(None, environment)
    with taken:
        assert taken.family == socket.AF_INET
        assert taken.getsockname() == listener.getsockname()
        assert not taken.get_inheritable()
    assert environment == {"PORT": "1"}


def test_a_unix_socket_is_one() -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0mikoshi-test-{os.getpid()}")
        listening.listen()
        [taken] = take_sockets(os.dup(listening.fileno()), {})
        with taken:
            assert taken.family == socket.AF_UNIX


def test_a_descriptor_that_is_no_listening_socket_is_refused_and_left_open() -> None:
    reading, writing = os.pipe()
    with socket.socket() as plain:
        with pytest.raises(Refused, match=f"--fd: descriptor {reading} is not a socket"):
            take_sockets(reading, {})
        with pytest.raises(Refused, match="does not listen"):
            take_sockets(plain.fileno(), {})
        assert plain.fileno() == os.dup2(plain.fileno(), plain.fileno())
    for fd in (reading, writing):
        os.close(fd)


@pytest.mark.parametrize(("text", "seconds"), [(None, 1.0), ("", 1.0), ("0", 0.0), ("2.5", 2.5)])
def test_the_while_that_clients_are_given_is_set_in_seconds(text: str | None, seconds: float) -> None:
    assert drain_seconds({} if text is None else {"MIKOSHI_DRAIN_SECONDS": text}) == seconds


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1s"])
def test_a_while_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="MIKOSHI_DRAIN_SECONDS"):
        drain_seconds({"MIKOSHI_DRAIN_SECONDS": text})
