"""A web server for tests that answers each request with the next status of a list, the last one for ever."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class Web:
    """Listens on loopback while it is entered; status 0 means: take the request and never answer."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.requests: list[str] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        for connection in (*self._open, self._listener):
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        self.requests.append(connection.recv(65536).decode())
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        if status == 0:
            self._open.append(connection)
            return
        connection.sendall(f"HTTP/1.1 {status} Said So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        connection.close()
