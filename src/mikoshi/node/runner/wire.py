"""Messages with file descriptors over a Unix stream socket: how holder, runner and engine talk to each other.

A message is four bytes of length (big-endian) and JSON; descriptors travel with its first byte. Every message goes out
whole: the peers are processes of ours, and one that does not read is given up after `LIMIT` seconds.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

LIMIT = 20.0
_HEAD = struct.Struct(">I")
_BLOCK = 64 << 10
_MOST_DESCRIPTORS = 64
_LONGEST = 16 << 20


class PeerGone(Exception):
    """The other side closed the connection, does not read, or says what is no message."""


class Wire:
    """One end of a connection. `receive` blocks; `received` takes what is there."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(LIMIT)
        self._connection = connection
        self._buffer = bytearray()
        self._descriptors: list[int] = []

    def fileno(self) -> int:
        """For selectors."""
        return self._connection.fileno()

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send a message, and copies of `descriptors`. Raises PeerGone."""
        message = {**message, "descriptors": len(descriptors)} if descriptors else message
        body = json.dumps(message, separators=(",", ":")).encode()
        data = memoryview(_HEAD.pack(len(body)) + body)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            sent = self._connection.sendmsg([data], rights)
            self._connection.sendall(data[sent:])
        except OSError as error:
            raise PeerGone(str(error)) from error

    def receive(self, within: float = LIMIT) -> tuple[dict[str, Any], list[int]]:
        """The next message and its descriptors, waiting for it. Raises PeerGone."""
        self._connection.settimeout(within)
        try:
            while True:
                message = self._next()
                if message is not None:
                    return message
                self._read()
        finally:
            self._connection.settimeout(LIMIT)

    def received(self) -> list[tuple[dict[str, Any], list[int]]]:
        """All messages that are complete, after one read. Raises PeerGone at the end of the stream."""
        self._read()
        found: list[tuple[dict[str, Any], list[int]]] = []
        while True:
            message = self._next()
            if message is None:
                return found
            found.append(message)

    def close(self) -> None:
        """Close the connection and the descriptors nobody took."""
        self._connection.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def _read(self) -> None:
        room = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)
        try:
            data, rights, _, _ = self._connection.recvmsg(_BLOCK, room, socket.MSG_CMSG_CLOEXEC)
        except OSError as error:
            raise PeerGone(str(error)) from error
        for level, kind, content in rights:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                numbers = array.array("i")
                numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
                self._descriptors.extend(numbers)
        if not data:
            raise PeerGone("closed")
        self._buffer += data

    def _next(self) -> tuple[dict[str, Any], list[int]] | None:
        if len(self._buffer) < _HEAD.size:
            return None
        (length,) = _HEAD.unpack_from(self._buffer)
        end = _HEAD.size + length
        if length > _LONGEST:
            raise PeerGone("not a message")
        if len(self._buffer) < end:
            return None
        try:
            message = json.loads(bytes(self._buffer[_HEAD.size : end]))
            count = int(message.get("descriptors", 0))
        except (ValueError, AttributeError, TypeError) as error:
            raise PeerGone("not a message") from error
        del self._buffer[:end]
        taken, self._descriptors = self._descriptors[:count], self._descriptors[count:]
        return message, taken
