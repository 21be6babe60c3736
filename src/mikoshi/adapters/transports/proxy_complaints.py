"""Catches what a ProxyCommand writes to its error output: asyncssh would take it for what the host says."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import IO


class Complaints:
    """A file that a command's error output goes to, or nothing."""

    def __init__(self, file: IO[str] | None) -> None:
        self._file = file

    @property
    def path(self) -> str:
        """Where to write; "" if nothing is to be written."""
        return str(self._file.name) if self._file else ""

    def read(self) -> str:
        """What was written since the last time."""
        return self._file.read().strip() if self._file else ""


@contextlib.contextmanager
def complaints(wanted: bool) -> Iterator[Complaints]:
    """Complaints for a `with` block; without a file if there is nothing to catch."""
    if not wanted:
        yield Complaints(None)
        return
    with tempfile.NamedTemporaryFile("r", errors="replace", prefix="mikoshi-proxy-") as file:
        yield Complaints(file)
