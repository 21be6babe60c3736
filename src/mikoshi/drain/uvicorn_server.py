"""uvicorn on handed over sockets, ending without losing a request.

uvicorn's own command line is run, with this server in place of uvicorn's: every option of every version stays. Uses
uvicorn's Server as its users do when they subclass it, and nothing whose name begins with an underscore.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

import uvicorn

from mikoshi.drain.handover import take_sockets
from mikoshi.drain.refused import Refused
from mikoshi.drain.settings import drain_seconds
from mikoshi.drain.traffic import Traffic

INTERVAL = 0.05
# A connection that was accepted last is known to the server only after the event loop has come round a few times.
SETTLE = 0.1
logger = logging.getLogger("uvicorn.error")


def main(arguments: Sequence[str]) -> None:
    """Run uvicorn's command line; exits as it does. Raises Refused for what cannot be drained."""
    # `uvicorn.main` is the command; the module of that name is what looks Server up.
    module: Any = importlib.import_module("uvicorn.main")
    module.Server = DrainingServer
    module.main(args=list(arguments), prog_name="python -m mikoshi.drain uvicorn")


class DrainingServer(uvicorn.Server):
    """uvicorn's server, on the sockets that were handed over, if any were."""

    def __init__(self, config: uvicorn.Config) -> None:
        if config.workers > 1:
            raise Refused("uvicorn: --workers (or WEB_CONCURRENCY) does not go with draining; set `instances` instead")
        if config.reload:
            raise Refused("uvicorn: --reload does not go with draining; run more processes by `instances` instead")
        super().__init__(config)
        self._drains_for = drain_seconds(os.environ)
        self._traffic = Traffic(time.monotonic)

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal ends it."""
        handed_over = take_sockets(self.config.fd, os.environ) or sockets
        signal.signal(signal.SIGTERM, self._end)
        super().run(sockets=handed_over)

    def _end(self, *_: object) -> None:
        """Before it serves, TERM ends the process; uvicorn sends itself the signal once more when it is done."""
        if not self.started:
            raise SystemExit(0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called on a signal, from its handler."""
        self._traffic.close_connections()
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start serving; the application has been imported."""
        self.config.loaded_app = self._traffic.wrap(self.config.loaded_app)
        await super().startup(sockets=sockets)
        for listener in sockets or []:
            logger.info("Uvicorn running on handed over socket %s", listener.getsockname())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: listeners, then kept connections, then requests in flight, then the application."""
        begun = time.monotonic()
        self._traffic.close_connections()
        self._close_listeners(sockets or [])
        graceful = self.config.timeout_graceful_shutdown
        await self._answer(begun, self._drains_for)
        await self._close_websockets()
        await self._answer(begun, None if graceful is None else self._drains_for + graceful)
        await self._close_idle()
        if graceful is not None:
            # What promised responses took of the limit is not granted again.
            spent = time.monotonic() - begun - self._drains_for
            self.config.timeout_graceful_shutdown = max(0, graceful - int(max(0.0, spent)))
        await super().shutdown(sockets=sockets)

    def _close_listeners(self, sockets: Sequence[socket.socket]) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets:
            listener.close()

    async def _answer(self, begun: float, limit: float | None) -> None:
        """Serve the connections there are until they are no longer needed, or `limit` seconds after `begun` at most."""
        while self._is_needed(time.monotonic() - begun) and not self.force_exit:
            if limit is not None and time.monotonic() - begun >= limit:
                return
            await asyncio.sleep(INTERVAL)

    def _is_needed(self, elapsed: float) -> bool:
        # A connection in its TLS handshake is not among the connections yet.
        if elapsed >= SETTLE and not self.server_state.connections and not self.config.is_ssl:
            return False
        return self._traffic.quiet_for() < self._drains_for

    async def _close_websockets(self) -> None:
        """Tell websockets to come back elsewhere (1012): they would hold the process for as long as they like."""
        told = {connection for connection in self.server_state.connections if self._is_websocket(connection)}
        for connection in told:
            connection.shutdown()
        if told:
            await asyncio.sleep(INTERVAL)
        # Some of uvicorn's websockets fail when told twice, as its own shutdown would; their tasks it still waits for.
        self.server_state.connections.difference_update(told)

    async def _close_idle(self) -> None:
        """Close what is idle, but for connections with something to read: that may be a request."""
        connections: list[Any] = [each for each in self.server_state.connections if not self._is_websocket(each)]
        arrived = readable([connection.transport for connection in connections])
        for connection in connections:
            if connection.transport not in arrived:
                connection.shutdown()
        await asyncio.sleep(INTERVAL)

    def _is_websocket(self, connection: object) -> bool:
        kind = self.config.ws_protocol_class
        return kind is not None and isinstance(connection, kind)


def readable(transports: Sequence[asyncio.Transport]) -> set[asyncio.Transport]:
    """The transports on which bytes have arrived that nobody has read."""
    poll = select.poll()
    by_fd: dict[int, asyncio.Transport] = {}
    for transport in transports:
        found = transport.get_extra_info("socket")
        if found is not None and found.fileno() >= 0:
            by_fd[found.fileno()] = transport
            poll.register(found.fileno(), select.POLLIN)
    return {by_fd[fd] for fd, event in poll.poll(0) if event & select.POLLIN}
