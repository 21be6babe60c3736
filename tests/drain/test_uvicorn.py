"""uvicorn as it is and as it drains: real processes, one socket, generations that replace each other under load."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest
from bench.loader import failures, generations
from bench.swap import Subject
from tools.findings import ROOT

from mikoshi.drain.uvicorn_server import readable
from tests.drain.conftest import PROFILES, Start, answer, swapped, until_closing, uvicorn


@pytest.mark.parametrize(
    "options", [("--http", "h11", "--loop", "asyncio"), ("--http", "httptools", "--loop", "uvloop")]
)
def test_no_request_is_lost_when_a_generation_replaces_another(
    tmp_path: Path, drain: Path, options: tuple[str, ...]
) -> None:
    seen = swapped(uvicorn(drain, *options), tmp_path)
    assert failures(seen.samples) == []
    assert set(generations(seen.samples)) == {"1", "2"}
    assert seen.codes == [0]


def test_uvicorn_as_it_is_loses_requests(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "--fd", "{fd}", "bench.applications.asgi:application"]
    seen = swapped(Subject("uvicorn", command, {"PYTHONPATH": str(ROOT)}), tmp_path, profiles=PROFILES[:2])
    assert len(failures(seen.samples)) > 0


@pytest.mark.parametrize("given", ["option", "systemd", "server-starter"])
def test_each_way_of_handing_over_is_served(drain: Path, start: Start, given: str) -> None:
    env = {"systemd": {"SERVER_STARTER_PORT": ""}, "server-starter": {"LISTEN_FDS": ""}}.get(given, {})
    options = ("--fd", "{fd}") if given == "option" else ()
    subject = uvicorn(drain, *options)
    running = start(replace(subject, env={**subject.env, **env}))
    assert "handed over socket" in running.log
    assert running.end() == 0


def test_a_response_in_flight_and_every_later_one_close_their_connection(drain: Path, start: Start) -> None:
    running = start(uvicorn(drain, seconds=5))
    kept, other = running.connect(), running.connect()
    for connection in (kept, other):
        assert answer(connection) == (b"1\n", None)
    running.process.send_signal(signal.SIGTERM)
    until_closing(kept)
    assert answer(other) == (b"1\n", "close")
    assert running.process.wait(20) == 0


def test_a_stream_that_outlives_the_while_is_finished_and_its_connection_good_for_another_request(
    drain: Path, start: Start
) -> None:
    running = start(uvicorn(drain, seconds=0.4))
    connection = running.connect()
    connection.request("GET", "/stream/9/100")
    response = connection.getresponse()
    assert response.readline() == b"1\n"
    running.process.send_signal(signal.SIGTERM)
    assert response.read() == b"".join(b"%d\n" % number for number in range(9))
    assert answer(connection) == (b"1\n", "close")
    assert running.process.wait(20) == 0


def test_a_stream_without_end_is_cut_at_the_servers_own_limit(drain: Path, start: Start) -> None:
    running = start(uvicorn(drain, "--timeout-graceful-shutdown", "1", seconds=0.1))
    connection = running.connect()
    connection.request("GET", "/stream/100000/100")
    with connection.getresponse() as response:
        assert response.readline() == b"1\n"
        assert running.end() == 0
    assert "timeout graceful shutdown exceeded" in running.log


def test_a_post_whose_body_nobody_reads_is_answered_while_closing(drain: Path, start: Start) -> None:
    running = start(uvicorn(drain, seconds=5))
    connection, probe = running.connect(), running.connect()
    for each in (connection, probe):
        assert answer(each) == (b"1\n", None)
    running.process.send_signal(signal.SIGTERM)
    until_closing(probe)
    connection.putrequest("POST", "/unread")
    connection.putheader("Content-Length", "100000")
    connection.endheaders()
    connection.send(bytes(50_000))
    connection.send(bytes(50_000))
    response = connection.getresponse()
    assert (response.read(), response.getheader("connection")) == (b"1\n", "close")
    assert running.process.wait(20) == 0


def test_it_drains_with_tls(drain: Path, start: Start, certificate: tuple[Path, Path]) -> None:
    key, chain = certificate
    running = start(uvicorn(drain, "--ssl-keyfile", str(key), "--ssl-certfile", str(chain), seconds=2), waits=False)
    kept, other = running.connect(secure=True), running.connect(secure=True)
    for connection in (kept, other):
        assert answer(connection) == (b"1\n", None)
    running.process.send_signal(signal.SIGTERM)
    until_closing(kept)
    assert answer(other) == (b"1\n", "close")
    assert running.process.wait(20) == 0


def test_a_websocket_is_told_to_come_back(drain: Path, start: Start) -> None:
    running = start(uvicorn(drain, seconds=0.2))
    with socket.create_connection(("127.0.0.1", running.swapper.port), timeout=20) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        stream = connection.makefile("rb")
        head = b"".join(iter(stream.readline, b"\r\n"))
        assert b" 101 " in head
        running.process.send_signal(signal.SIGTERM)
        assert stream.read(4) == bytes([0x88, 2]) + (1012).to_bytes(2, "big")
        stream.close()
    assert running.process.wait(20) == 0


def test_with_nobody_connected_it_ends_without_waiting(drain: Path, start: Start) -> None:
    running = start(uvicorn(drain, seconds=600))
    assert running.end() == 0


def test_without_a_handed_over_socket_it_is_plain_uvicorn(drain: Path, start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    subject = uvicorn(drain, "--port", str(port), "--header", "x-own:1")
    running = start_elsewhere(subject, port)
    try:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert (response.read(), response.getheader("x-own")) == (b"0\n", "1")
        connection.close()
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=20)
    assert running.returncode == 0


def start_elsewhere(subject: Subject, port: int) -> subprocess.Popen[bytes]:
    """A server with no socket of ours, once it listens on its own."""
    process = subprocess.Popen(
        subject.command, env={**environment(), **subject.env}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    for line in process.stderr:
        if f":{port} ".encode() in line:
            break
    return process


def environment() -> dict[str, str]:
    mine = ("LISTEN_FDS", "LISTEN_PID", "SERVER_STARTER_PORT")
    return {name: text for name, text in os.environ.items() if name not in mine}


def ask(drain: Path, *arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run `python -m mikoshi.drain` to its end; arguments like NAME=VALUE are its environment."""
    env = dict(argument.split("=", 1) for argument in arguments if argument[0].isupper())
    command = [sys.executable, *python, "-m", "mikoshi.drain", *arguments[len(env) :]]
    variables = {**environment(), "PYTHONPATH": f"{drain}:{ROOT}", **env}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=20)


APPLICATION = "bench.applications.asgi:application"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("uvicorn", "--workers", "2"), "instances"),
        (("WEB_CONCURRENCY=2", "uvicorn"), "instances"),
        (("uvicorn", "--reload"), "instances"),
        (("MIKOSHI_DRAIN_SECONDS=soon", "uvicorn"), "MIKOSHI_DRAIN_SECONDS: expected a number"),
        (("uvicorn", "--fd", "0"), "--fd: descriptor 0 is not a socket"),
        (("SERVER_STARTER_PORT=8080", "uvicorn"), "SERVER_STARTER_PORT: expected the number"),
    ],
)
def test_what_cannot_drain_is_refused_in_one_line(drain: Path, arguments: tuple[str, ...], said: str) -> None:
    run = ask(drain, *arguments, APPLICATION)
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.splitlines()[-1].startswith("mikoshi.drain: ")
    assert "Traceback" not in run.stderr


def test_without_uvicorn_that_is_said_in_one_line(drain: Path) -> None:
    run = ask(drain, "uvicorn", APPLICATION, python=("-S",))
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "uvicorn is not installed" in run.stderr


@pytest.mark.parametrize("arguments", [(), ("apache", "x")])
def test_another_server_is_a_usage_error(drain: Path, arguments: tuple[str, ...]) -> None:
    run = ask(drain, *arguments)
    assert run.returncode == 2
    assert run.stderr.startswith("usage: ")


def test_help_and_wrong_options_are_uvicorns_own(drain: Path) -> None:
    assert "--timeout-graceful-shutdown" in ask(drain, "uvicorn", "--help").stdout
    wrong = ask(drain, "uvicorn", "--no-such-option", APPLICATION)
    assert wrong.returncode == 2
    assert "No such option" in wrong.stderr
    assert ask(drain, "--help").stdout.startswith("usage: ")


def test_an_application_that_cannot_be_imported_fails_as_with_uvicorn(drain: Path) -> None:
    run = ask(drain, "uvicorn", "bench.applications.nowhere:application")
    assert run.returncode != 0
    assert "nowhere" in run.stderr


def test_a_connection_with_something_to_read_is_seen_before_it_is_closed() -> None:
    async def session() -> None:
        pairs = [socket.socketpair() for _ in range(2)]
        loop = asyncio.get_running_loop()
        transports = []
        for near, _ in pairs:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
            transport.pause_reading()
            transports.append(transport)
        pairs[1][1].send(b"GET /")
        assert readable(transports) == {transports[1]}
        for transport, (_, far) in zip(transports, pairs, strict=True):
            transport.abort()
            far.close()
        await asyncio.sleep(0)
        assert readable(transports) == set()

    asyncio.run(session())
