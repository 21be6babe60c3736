"""Servers for tests of draining: real ones, each on a socket of this process, ended with the test."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from subprocess import Popen
from typing import Protocol

import pytest
from bench.loader import Profile, fresh, keep_alive, post, stream
from bench.swap import Subject, Swapped, Swapper, lay_out_drain, swap
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tools.findings import ROOT

# Seconds that clients are away, each way: without, a request is hardly ever on its way when a connection is closed.
AWAY = 0.03
# Connections are used again much sooner than the while that servers give, so that a machine that halts for a moment
# makes no difference: what a client sends after idling for longer can meet the end of its connection.
PROFILES = (keep_alive(40, 6), fresh(15, 4), post(30, 6), post(15, 4, keep=False), stream(1, 1, 8, 0.15))


class Running:
    """One generation on a socket, and connections to it, which `stack` closes."""

    def __init__(self, swapper: Swapper, process: Popen[bytes], stack: ExitStack) -> None:
        self.swapper = swapper
        self.process = process
        self._stack = stack

    def connect(self, *, secure: bool = False) -> HTTPConnection:
        """A connection of its own, which trusts any certificate."""
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        where = ("127.0.0.1", self.swapper.port)
        connection = (
            HTTPSConnection(*where, timeout=20, context=trust) if secure else HTTPConnection(*where, timeout=20)
        )
        self._stack.callback(connection.close)
        return connection

    def end(self) -> int:
        """Tell it to end, and wait: its exit code."""
        self.process.send_signal(self.swapper.subject.stop)
        return self.process.wait(20)

    @property
    def log(self) -> str:
        """What it printed."""
        return self.swapper.log.read_text()


class Start(Protocol):
    """Starts a server."""

    def __call__(self, subject: Subject, *, waits: bool = True) -> Running: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server and waits until it answers, or not: the socket takes connections all the same."""
    with ExitStack() as stack:

        def begin(subject: Subject, *, waits: bool = True) -> Running:
            swapper = stack.enter_context(Swapper(subject, tmp_path))
            process = swapper.start("1")
            if waits:
                asyncio.run(swapper.ready("1", process))
            return Running(swapper, process, stack)

        yield begin


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A key and its certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + dt.timedelta(days=1))
    files = tmp_path / "key.pem", tmp_path / "certificate.pem"
    pem = serialization.Encoding.PEM
    none = serialization.NoEncryption()
    files[0].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, none))
    files[1].write_bytes(made.sign(key, hashes.SHA256()).public_bytes(pem))
    return files


@pytest.fixture
def drain(tmp_path: Path) -> Path:
    """$MIKOSHI_DRAIN, as on a server."""
    return lay_out_drain(tmp_path / "drain")


def uvicorn(drain: Path, *options: str, seconds: float = 1.5) -> Subject:
    """uvicorn, drained."""
    command = [sys.executable, "-m", "mikoshi.drain", "uvicorn", *options, "bench.applications.asgi:application"]
    env = {"PYTHONPATH": f"{drain}:{ROOT}", "MIKOSHI_DRAIN_SECONDS": str(seconds)}
    return Subject("uvicorn", command, env)


def node(drain: Path, application: Path, *, seconds: float = 1.5, helped: bool = True, **env: str) -> Subject:
    """Node, drained or as it is."""
    preload = ["--require", str(drain / "node.js")] if helped else []
    return Subject("node", ["node", *preload, str(application)], {"MIKOSHI_DRAIN_SECONDS": str(seconds), **env})


def answer(connection: HTTPConnection, path: str = "/") -> tuple[bytes, str | None]:
    """The body of an answer, and its `Connection` header."""
    connection.request("GET", path)
    response = connection.getresponse()
    return response.read(), response.getheader("connection")


def until_closing(connection: HTTPConnection) -> None:
    """Return once the server says that connections end; this one has."""
    deadline = time.monotonic() + 20
    while answer(connection)[1] != "close":
        assert time.monotonic() < deadline, "it never began to drain"


def swapped(subject: Subject, directory: Path, swaps: int = 1, profiles: Sequence[Profile] = PROFILES) -> Swapped:
    """Replace a server under load of distant clients."""
    return asyncio.run(swap(subject, directory, profiles, swaps, away=AWAY))
