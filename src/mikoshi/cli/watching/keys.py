"""Keys from a terminal, one by one; its modes are as before when the block ends, however it ends."""

from __future__ import annotations

import contextlib
import termios
import tty
from collections.abc import Iterator

_NAMES = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down",
    b"\x1b[5~": "page up", b"\x1b[6~": "page down",
    b"\x1b[H": "home", b"\x1bOH": "home", b"\x1b[1~": "home", b"\x1b[F": "end", b"\x1bOF": "end", b"\x1b[4~": "end",
}  # fmt: skip


class Keys:
    """Bytes from a terminal as names of keys. A sequence that came in pieces is one key."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The keys that are complete."""
        self._rest += data
        found = []
        while self._rest:
            key = self._next()
            if key is None:
                break
            found.append(key)
        return [key for key in found if key]

    def _next(self) -> str | None:
        """The next key, "" for one without a name, None if more has to come."""
        if not self._rest.startswith(b"\x1b"):
            key, self._rest = self._rest[:1], self._rest[1:]
            return key.decode("ascii", "replace").lower()
        for sequence, name in _NAMES.items():
            if self._rest.startswith(sequence):
                self._rest = self._rest[len(sequence) :]
                return name
        if any(sequence.startswith(self._rest) for sequence in _NAMES):
            return None
        self._rest = self._rest[1:]
        return ""


@contextlib.contextmanager
def keys_at_once(descriptor: int) -> Iterator[None]:
    """Keys arrive without Enter and are not echoed; Ctrl-C still interrupts. Ctrl-Z does nothing: it would leave the
    screen to the shell as it is."""
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        modes = termios.tcgetattr(descriptor)
        modes[6][termios.VSUSP] = b"\0"
        termios.tcsetattr(descriptor, termios.TCSADRAIN, modes)
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal itself is gone
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
