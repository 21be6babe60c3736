"""What becomes of requests and responses between an ASGI server and its application."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from mikoshi.drain.traffic import Application, Message, Receive, Send, Traffic

START = {"type": "http.response.start", "status": 200, "headers": [(b"x", b"1")]}
LAST = {"type": "http.response.body", "body": b"end"}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}


class Clock:
    """Time that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Peer:
    """The server's side of one request."""

    def __init__(self, *incoming: Message) -> None:
        self.incoming = list(incoming)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return self.incoming.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        return list(self.sent[0].get("headers", []))


def scope(kind: str = "http", version: str = "1.1", headers: Iterable[tuple[bytes, bytes]] = ()) -> dict[str, Any]:
    return {"type": kind, "http_version": version, "headers": list(headers)}


def says(*messages: dict[str, Any]) -> Application:
    async def application(scope: Any, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(dict(message))

    return application


def serve(traffic: Traffic, application: Application, peer: Peer, about: dict[str, Any] | None = None) -> None:
    asyncio.run(traffic.wrap(application)(about or scope(), peer.receive, peer.send))  # type: ignore[arg-type]


def test_nothing_is_changed_before_closing() -> None:
    peer = Peer()
    serve(Traffic(Clock()), says(START, PART, LAST), peer)
    assert peer.sent == [START, PART, LAST]


def test_while_closing_every_response_says_so_whatever_the_application_says() -> None:
    traffic = Traffic(Clock())
    traffic.close_connections()
    for own in ([], [(b"Connection", b"keep-alive")], [(b"connection", b"close")]):
        peer = Peer()
        serve(traffic, says({**START, "headers": [(b"x", b"1"), *own]}, LAST), peer)
        assert peer.headers == [(b"x", b"1"), (b"connection", b"close")]


def test_a_response_that_has_not_begun_when_closing_begins_says_so() -> None:
    traffic = Traffic(Clock())

    async def slow(scope: Any, receive: Receive, send: Send) -> None:
        traffic.close_connections()
        await send(dict(START))

    peer = Peer()
    serve(traffic, slow, peer)
    assert (b"connection", b"close") in peer.headers


def test_http_2_and_websockets_are_left_alone() -> None:
    traffic = Traffic(Clock())
    traffic.close_connections()
    for about in (scope(version="2"), {"type": "websocket"}, {"type": "lifespan"}):
        peer = Peer()
        serve(traffic, says(START), peer, about)
        assert peer.sent == [START]


def test_quiet_begins_when_closing_does() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    clock.now += 5
    traffic.close_connections()
    clock.now += 1
    traffic.close_connections()
    assert traffic.quiet_for() == 1


def test_quiet_begins_again_when_a_response_that_kept_its_connection_has_ended() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    seen: list[float] = []

    async def streams(scope: Any, receive: Receive, send: Send) -> None:
        await send(dict(START))
        traffic.close_connections()
        clock.now += 7
        seen.append(traffic.quiet_for())
        await send(dict(LAST))
        clock.now += 1
        seen.append(traffic.quiet_for())

    serve(traffic, streams, Peer())
    assert seen == [0, 1]


def test_a_response_that_breaks_off_is_no_longer_waited_for() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    serve(traffic, says(START, PART), Peer())
    clock.now += 3
    assert traffic.quiet_for() == 3


def test_a_body_that_nobody_read_is_read_before_the_connection_is_closed() -> None:
    traffic = Traffic(Clock())
    parts = [{"type": "http.request", "body": b"x", "more_body": more} for more in (True, True, False)]
    with_body = scope(headers=[(b"content-length", b"3")])
    peer = Peer(*parts)
    serve(traffic, says(START, LAST), peer, with_body)
    assert len(peer.incoming) == 3
    traffic.close_connections()
    serve(traffic, says(START, LAST), peer, with_body)
    assert peer.incoming == []
    peer = Peer(*parts)
    serve(traffic, says(START, LAST), peer, scope(headers=[(b"content-length", b"3"), (b"expect", b"100-continue")]))
    assert len(peer.incoming) == 3


def test_a_client_that_sends_without_end_is_not_read_for_ever() -> None:
    class Endless(Peer):
        async def receive(self) -> Message:
            return {"type": "http.request", "body": bytes(300_000), "more_body": True}

    traffic = Traffic(Clock())
    traffic.close_connections()
    peer = Endless()
    serve(traffic, says(START, LAST), peer, scope(headers=[(b"transfer-encoding", b"chunked")]))
    assert peer.sent[-1] == LAST
