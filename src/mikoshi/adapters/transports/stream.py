"""What every transport makes a channel of: two byte streams to a process somewhere, and the tail of what it complains.

No knowledge of engines or frames here.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

_TAIL = 8 << 10


class Stream(Protocol):
    """A process's standard input and output."""

    async def write(self, data: bytes) -> None:
        """Send `data`; returns when more can be taken. Raises ConnectionLost, or HostTimeout for a host gone silent."""
        ...

    async def read(self) -> bytes:
        """The next bytes, b"" once the process ended well. Raises as `write` does, also if it ended otherwise."""
        ...

    def last_words(self) -> str:
        """The last of the process's error output."""
        ...

    async def close(self) -> None:
        """End it: never raises, never takes longer than a second."""
        ...


class Tail:
    """The end of a stream of bytes, and how many went by."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._size = 0
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take in more."""
        self._parts.append(data)
        self._size += len(data)
        self.total += len(data)
        while self._size - len(self._parts[0]) >= _TAIL:
            self._size -= len(self._parts.popleft())

    def text(self) -> str:
        """The last few KiB as text, whatever they were."""
        return b"".join(self._parts)[-_TAIL:].decode(errors="replace").strip()
