"""A ProxyCommand as a child of ours with a socket: asyncssh, given the command, leaves its process unwaited for."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from typing import Self

_WORDS = 2_000


class ProxyCommand:
    """A running command whose standard input and output are one end of a socket; `socket` is the other.

    `last_words` is what it wrote to its error output, once it has ended.
    """

    last_words = ""

    def __init__(self, command: str) -> None:
        """Run `command` with /bin/sh, as ssh does. Raises OSError. Whoever takes `socket` closes it."""
        self.socket, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(self.socket.close)
            self._complaints = undo.enter_context(tempfile.TemporaryFile(prefix="mikoshi-proxy-"))
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command}"],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._complaints,
                start_new_session=True,
            )
            undo.pop_all()

    @classmethod
    def start(cls, command: str) -> Self | None:
        """Start a command; none for "", which is no command."""
        return cls(command) if command else None

    def end(self) -> None:
        """End the command and what it started, and wait for it. Nothing if that was done."""
        if self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with self._complaints as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _WORDS))
            self.last_words = file.read().decode(errors="replace").strip()
