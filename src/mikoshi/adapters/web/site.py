"""ports.web.Site over HTTP/1.1: how each request ended, told apart by types and numbers, never by a text."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor

from mikoshi import __version__
from mikoshi.adapters.web.connection import Address, ClosedEarly, Connection, NotHttp, opened
from mikoshi.adapters.web.url import Url
from mikoshi.ports import web
from mikoshi.ports.web import Answer

_AGENT = f"mikoshi-probe/{__version__}"
_NAMED = 40
_NO_WAY = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL}


class HttpSite:
    """One URL. `header` names the deployment that answers; `limit` is in seconds, from the name to the last byte."""

    def __init__(self, url: Url, header: str, limit: float) -> None:
        self._url, self._header, self._limit = url, header.lower(), limit
        self._tls = ssl.create_default_context() if url.secure else None
        self._kept: list[Connection] = []
        # Names are looked up in threads of our own: a resolver that hangs must not take those of the deploy.
        self._names = ThreadPoolExecutor(4, "probe-names")

    async def get(self, *, fresh: bool) -> Answer:
        """Ask once; see ports.web."""
        connection = None if fresh else self._idle()
        kept = connection is not None
        try:
            async with asyncio.timeout(self._limit):
                connection = connection or await self._connect()
                head = await connection.get(self._url, _AGENT, last=fresh)
        except (OSError, ClosedEarly, NotHttp) as error:
            failed = kind_of(error)
        else:
            failed = web.SERVER_ERROR if head.status >= 500 else ""
            if connection.idle and not fresh:
                self._kept.append(connection)
                connection = None
            return Answer(failed, head.status, _plain(head.headers.get(self._header, "")), kept)
        finally:
            if connection is not None:
                connection.close()
        return Answer(failed, kept=kept)

    def _idle(self) -> Connection | None:
        """A kept connection that the other side has not ended meanwhile; every client drops those that it has."""
        while self._kept:
            connection = self._kept.pop()
            if connection.idle:
                return connection
            connection.close()
        return None

    async def _connect(self) -> Connection:
        """A new connection to the first of the name's addresses that takes it. Raises as the last of them does."""
        *others, last = await self._addresses()
        for address in others:
            try:
                return await opened(self._url, address, self._tls)
            except OSError:
                continue  # the next address is this one's remedy, as in any client
        return await opened(self._url, last, self._tls)

    async def _addresses(self) -> list[Address]:
        host, port = self._url.host, self._url.port
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            look_up = asyncio.get_running_loop().run_in_executor
            found = await look_up(self._names, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        return [(family, where) for family, _, _, _, where in found]

    async def close(self) -> None:
        """Close what is kept."""
        for connection in self._kept:
            connection.close()
        self._kept.clear()
        self._names.shutdown(wait=False, cancel_futures=True)
        await asyncio.sleep(0)  # closed transports tell their protocols in the loop's next round


def kind_of(error: Exception) -> str:
    """How a request failed, as one of ports.web.KINDS."""
    by_type: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        ((ClosedEarly, ssl.SSLEOFError, ssl.SSLZeroReturnError), web.CLOSED_EARLY),
        (NotHttp, web.NOT_HTTP),
        (TimeoutError, web.TIMEOUT),
        (socket.gaierror, web.DNS),
        (ssl.SSLError, web.TLS),
        (ConnectionRefusedError, web.REFUSED),
        (ConnectionError, web.RESET),
    )
    for kinds, name in by_type:
        if isinstance(error, kinds):
            return name
    return web.UNREACHABLE if isinstance(error, OSError) and error.errno in _NO_WAY else web.OTHER


def _plain(value: str) -> str:
    """A header's value as it may be shown: short, and without anything that steers a terminal."""
    return "".join(char for char in value.strip() if char.isprintable())[:_NAMED]
