"""One connection to a site: bytes of an asyncio transport go into h11, its events come out."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass

import h11

from mikoshi.adapters.web.url import Url

# A family, and what the family calls an address.
Address = tuple[int, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


@dataclass(frozen=True)
class Head:
    """What a complete answer began with; header names are small letters."""

    status: int
    headers: dict[str, str]


class ClosedEarly(Exception):
    """The other side ended the connection before the answer was complete."""


class NotHttp(Exception):
    """What came is no HTTP."""


class Connection(asyncio.Protocol):
    """A connection that is open; made by `opened`."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._arrived = bytearray()
        self._over = self._ended = False
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self.used = False

    # ── asyncio.Protocol ───────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._arrived += data
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over; `exc` says why if the other side did not end it properly."""
        self._over, self._error = True, exc
        self._news.set()

    def eof_received(self) -> None:
        """The other side says that nothing follows; asyncio closes the transport then."""
        self._over = True
        self._news.set()

    # ── for the site ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def idle(self) -> bool:
        """Whether another request can be sent: the last answer was complete and nothing has come since."""
        return self._http.our_state is h11.IDLE and not self._over and not self._arrived

    async def get(self, url: Url, agent: str, *, last: bool) -> Head:
        """Ask, and read the answer to its end. `last`: say that the connection is not used again.

        Raises ClosedEarly, NotHttp, or the OSError or ssl.SSLError that ended the connection.
        """
        headers = [("Host", url.authority), ("User-Agent", agent), ("Accept", "*/*")]
        if last:
            headers.append(("Connection", "close"))
        request = h11.Request(method="GET", target=url.target, headers=headers)
        self._write(self._http.send(request) or b"")
        self._write(self._http.send(h11.EndOfMessage()) or b"")
        head = await self._answer()
        self.used = True
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return head

    async def _answer(self) -> Head:
        head: Head | None = None
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                pairs = ((name.decode("ascii"), value.decode("utf-8", "replace")) for name, value in event.headers)
                head = Head(event.status_code, dict(pairs))
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return head
            elif isinstance(event, h11.ConnectionClosed):
                raise self._error or ClosedEarly
            elif event is h11.PAUSED:
                raise NotHttp("it changed the protocol")

    async def _next_event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                # h11 says the same for an end in the middle of an answer and for bytes that are no answer.
                raise (self._error or ClosedEarly()) if self._ended else NotHttp(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            await self._feed()

    async def _feed(self) -> None:
        """Give h11 what has come, or the end."""
        while not self._arrived and not self._over:
            self._news.clear()
            await self._news.wait()
        data, self._arrived = bytes(self._arrived), bytearray()
        if not data:
            if self._error is not None:
                raise self._error
            self._ended = True
        self._http.receive_data(data)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """End it at once; what was not sent is given up."""
        if self._transport is not None:
            self._transport.abort()


async def opened(url: Url, address: Address, tls: ssl.SSLContext | None) -> Connection:
    """A connection to `address`. Raises OSError or ssl.SSLError."""
    loop = asyncio.get_running_loop()
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        await loop.sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    # From here on the transport owns the socket, also if the handshake fails or is given up.
    name = url.host if tls else None
    _, connection = await loop.create_connection(Connection, sock=sock, ssl=tls, server_hostname=name)
    return connection
