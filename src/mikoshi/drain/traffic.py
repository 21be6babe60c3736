"""An ASGI application between server and application that tells clients, once asked to, to use other connections.

Knows no server. Must never change anything of a response but its `Connection` header, and that only while closing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, MutableMapping
from typing import Any, Callable

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[Any]]
Clock = Callable[[], float]

CLOSE = (b"connection", b"close")
UNREAD_BYTES = 1_000_000
UNREAD_SECONDS = 1.0


class Traffic:
    """The HTTP/1 exchanges of a server; `clock` gives seconds.

    A response that began before closing promised its client that the connection stays. Only some time after the last
    of these has ended may connections be closed, or the next request is already on its way.
    """

    def __init__(self, clock: Clock) -> None:
        self.closing = False
        self._clock = clock
        self._kept_at = clock()
        self._promises: set[Exchange] = set()

    def close_connections(self) -> None:
        """From now on every response says that its connection ends. May be called from a signal handler."""
        if not self.closing:
            self._kept_at = self._clock()
            self.closing = True

    def quiet_for(self) -> float:
        """For how many seconds no client has been told that its connection stays."""
        return 0.0 if self._promises else self._clock() - self._kept_at

    def promise(self, exchange: Exchange) -> None:
        """A response has begun without saying that its connection ends."""
        self._promises.add(exchange)

    def forget(self, exchange: Exchange) -> None:
        """A response has ended, or will not be sent."""
        if exchange in self._promises:
            self._promises.discard(exchange)
            self._kept_at = self._clock()

    def wrap(self, application: Application) -> Application:
        """The application to serve in place of this one."""

        async def served(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> Any:
            # HTTP/2 has no such header (RFC 9113, 8.2.2); a websocket is no response.
            if scope["type"] != "http" or not str(scope.get("http_version", "")).startswith("1"):
                return await application(scope, receive, send)
            exchange = Exchange(self, scope, receive, send)
            try:
                return await application(scope, exchange.receive, exchange.send)
            finally:
                self.forget(exchange)

        return served


class Exchange:
    """One request and its response."""

    def __init__(self, traffic: Traffic, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        self._traffic = traffic
        self._receive = receive
        self._send = send
        self._closes = False
        self._unread = _has_body(scope)

    async def receive(self) -> Message:
        """What the server says of the request."""
        message = await self._receive()
        if not message.get("more_body"):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        """What the application says of the response."""
        if message["type"] == "http.response.start":
            message = self._start(message)
        last = message["type"] == "http.response.body" and not message.get("more_body")
        if last and self._closes and self._unread:
            await self._read_rest()
        await self._send(message)
        if last:
            self._traffic.forget(self)

    def _start(self, message: Message) -> Message:
        if not self._traffic.closing:
            self._traffic.promise(self)
            return message
        self._closes = True
        headers = [(name, value) for name, value in message.get("headers", ()) if name.lower() != b"connection"]
        return {**message, "headers": [*headers, CLOSE]}

    async def _read_rest(self) -> None:
        """Read what the application left of the request.

        A connection that is closed with bytes unread is reset, which can take the response away from the client.
        """
        try:
            await asyncio.wait_for(self._discard(UNREAD_BYTES), UNREAD_SECONDS)
        except asyncio.TimeoutError:
            pass  # it sends slowly, or nothing: it has had its time

    async def _discard(self, most: int) -> None:
        while self._unread and most > 0:
            message = await self.receive()
            most -= len(message.get("body", b""))


def _has_body(scope: MutableMapping[str, Any]) -> bool:
    """Whether a request's body is on its way. One that expects `100 Continue` is not before it is read."""
    names = {name for name, _ in scope["headers"]}
    return b"expect" not in names and not names.isdisjoint({b"content-length", b"transfer-encoding"})
