"""Requests to real servers on loopback that fail in every way: each way is told apart from the others."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mikoshi.adapters.web.connection import ClosedEarly, NotHttp
from mikoshi.adapters.web.site import HttpSite, kind_of
from mikoshi.adapters.web.url import parsed
from mikoshi.ports import web
from mikoshi.ports.web import Answer
from tests.adapters.web.server import Act, Server, answers, says, serving, stalls, then_closes, then_resets, until

LONG = 20.0
SHORT = 0.2
BEGUN = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
Asking = Callable[[HttpSite, Server], Awaitable[None]]


def with_site(asking: Asking, *acts: Act, limit: float = LONG, tls: ssl.SSLContext | None = None) -> Server:
    """Run `asking` with a site that meets these acts."""

    async def run() -> Server:
        async with serving(*acts, tls=tls) as server:
            site = HttpSite(parsed(server.url(tls is not None)), "X-Mikoshi-Seq", limit)
            try:
                await asking(site, server)
            finally:
                await site.close()
            return server

    return asyncio.run(run())


def ask(*acts: Act, fresh: bool = True, limit: float = LONG, tls: ssl.SSLContext | None = None) -> Answer:
    """What one request to such a site gets."""
    found: list[Answer] = []

    async def once(site: HttpSite, _server: Server) -> None:
        found.append(await site.get(fresh=fresh))

    with_site(once, *acts, limit=limit, tls=tls)
    return found[0]


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (then_resets(""), web.RESET),
        (then_resets(BEGUN), web.RESET),
        (then_closes(""), web.CLOSED_EARLY),
        (then_closes(BEGUN), web.CLOSED_EARLY),
        (then_closes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"), web.CLOSED_EARLY),
        (then_closes("HTTP/1.1 200 OK\r\nConte"), web.CLOSED_EARLY),
        (then_closes("220 smtp.example.com ESMTP\r\n\r\n"), web.NOT_HTTP),
        (says("SSH-2.0-OpenSSH_9.2\r\n\r\n"), web.NOT_HTTP),
        (answers(500), web.SERVER_ERROR),
        (answers(503), web.SERVER_ERROR),
    ],
)
def test_each_way_to_fail_is_told_apart(act: Act, kind: str, fresh: bool) -> None:
    assert ask(act, fresh=fresh).failed == kind


@pytest.mark.parametrize("act", [stalls, says(BEGUN), says("HTTP/1.1 200")])
def test_an_answer_that_does_not_end_in_time_is_a_timeout(act: Act) -> None:
    assert ask(act, limit=SHORT).failed == web.TIMEOUT


def test_where_nobody_listens_it_is_refused() -> None:
    async def run(port: int) -> Answer:
        site = HttpSite(parsed(f"http://127.0.0.1:{port}/"), "X", LONG)
        answer = await site.get(fresh=True)
        await site.close()
        return answer

    with socket.socket() as taken:  # bound and not listening: nobody else can begin to
        taken.bind(("127.0.0.1", 0))
        assert asyncio.run(run(taken.getsockname()[1])) == Answer(web.REFUSED)


def test_a_name_that_nobody_knows_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def run() -> Answer:
        site = HttpSite(parsed("http://shop.invalid/"), "X", LONG)
        answer = await site.get(fresh=True)
        await site.close()
        return answer

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    assert asyncio.run(run()).failed == web.DNS


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.EHOSTUNREACH, "no route"), web.UNREACHABLE),
        (OSError(errno.EMFILE, "too many files"), web.OTHER),
        (OSError(errno.ETIMEDOUT, "timed out"), web.TIMEOUT),
        (BrokenPipeError(), web.RESET),
        (ssl.SSLEOFError(), web.CLOSED_EARLY),
        (ssl.SSLCertVerificationError(), web.TLS),
        (ClosedEarly(), web.CLOSED_EARLY),
        (NotHttp(), web.NOT_HTTP),
    ],
)
def test_what_cannot_be_made_on_loopback_is_known_by_type_and_number(error: Exception, kind: str) -> None:
    assert kind_of(error) == kind


# ── good answers ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [200, 204, 302, 404])
def test_below_500_an_answer_is_no_failure_here_and_nothing_is_followed(status: int) -> None:
    body = "" if status == 204 else "ok"
    assert ask(answers(status, "Location: /elsewhere\r\n", body)) == Answer("", status)


@pytest.mark.parametrize(
    "act",
    [
        says("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        then_closes("HTTP/1.0 200 OK\r\n\r\nup to the end"),
    ],
)
def test_every_shape_of_a_complete_answer_is_read_to_its_end(act: Act) -> None:
    assert ask(act) == Answer("", 200)


def test_the_deployment_that_answers_is_read_from_the_header_also_of_an_error() -> None:
    assert ask(answers(200, "x-mikoshi-SEQ: 17\r\n")).named == "17"
    assert ask(answers(503, "X-Mikoshi-Seq: 17\r\n")).named == "17"
    assert ask(answers(200)).named == ""


def test_a_strange_value_is_kept_short_and_steers_no_terminal() -> None:
    assert ask(answers(200, f"X-Mikoshi-Seq: \u202e{'9' * 90}\r\n")).named == "9" * 40


# ── connections ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kept_connection_is_used_again_and_a_fresh_one_never_is() -> None:
    async def asking(site: HttpSite, server: Server) -> None:
        assert [(await site.get(fresh=False)).kept for _ in range(3)] == [False, True, True]
        assert server.connections == 1
        assert [(await site.get(fresh=True)).kept for _ in range(2)] == [False, False]
        assert server.connections == 3

    server = with_site(asking, answers())
    assert ["close" in request for request in server.requests] == [False, False, False, True, True]


def test_a_request_on_a_kept_connection_that_is_cut_fails_and_is_not_repeated() -> None:
    async def asking(site: HttpSite, server: Server) -> None:
        await site.get(fresh=False)
        assert await site.get(fresh=False) == Answer(web.RESET, kept=True)
        assert len(server.requests) == 2
        assert await site.get(fresh=False) == Answer("", 200)

    with_site(asking, answers(), then_resets(""), answers())


@pytest.mark.parametrize("last_words", ["", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
def test_a_kept_connection_that_the_server_ended_while_nobody_asked_is_not_used(last_words: str) -> None:
    async def asking(site: HttpSite, server: Server) -> None:
        await site.get(fresh=False)
        for writer in server.open:
            writer.write(last_words.encode())
        server.close_idle()
        await until(lambda: not site._kept[0].idle)
        assert await site.get(fresh=False) == Answer("", 200)
        assert server.connections == 2

    with_site(asking, answers())


def test_a_connection_that_the_server_will_not_keep_is_not_kept() -> None:
    async def asking(site: HttpSite, server: Server) -> None:
        assert await site.get(fresh=False) == await site.get(fresh=False) == Answer("", 200)
        assert server.connections == 2

    with_site(asking, answers(200, "Connection: close\r\n"))


# ── TLS ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def certificate(directory: Path) -> Path:
    """A file with a key and a certificate for 127.0.0.1 that nobody vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    today = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = directory / "both.pem"
    file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return file


def served_with(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def test_a_certificate_that_nobody_vouches_for_is_told_apart_and_a_trusted_one_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path)
    assert ask(answers(), tls=served_with(file)).failed == web.TLS
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert ask(answers(), tls=served_with(file)) == Answer("", 200)
    assert ask(then_closes(BEGUN), tls=served_with(file)).failed == web.CLOSED_EARLY


def test_a_handshake_that_nobody_answers_is_a_timeout() -> None:
    async def asking(_site: HttpSite, server: Server) -> None:
        site = HttpSite(parsed(f"https://127.0.0.1:{server.port}/"), "X", SHORT)
        assert await site.get(fresh=True) == Answer(web.TIMEOUT)
        await site.close()

    with_site(asking, stalls)


def test_a_server_without_tls_is_told_apart() -> None:
    async def no_tls(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async def run() -> Answer:
        listener = await asyncio.start_server(no_tls, "127.0.0.1", 0)
        site = HttpSite(parsed(f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"), "X", LONG)
        answer = await site.get(fresh=True)
        await site.close()
        listener.close()
        await listener.wait_closed()
        return answer

    assert asyncio.run(run()).failed == web.TLS
