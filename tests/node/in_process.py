"""An engine in a thread of the test's own process, for tests that need hundreds of sessions."""

from __future__ import annotations

import os
import threading
from typing import IO

from mikoshi.core.frames import FrameReader
from mikoshi.node.files import Files, OpenFile
from mikoshi.node.server import Server
from mikoshi.node.stdio import Wire
from tests.node.client import Engine


class UnsyncedFiles(Files):
    """Changes that are as good as on the disk: these tests lose no power, and waiting for it is all they would do."""

    def sync(self, file: OpenFile) -> None:
        """Nothing."""

    def sync_path(self, path: str) -> None:
        """Nothing."""

    def sync_file_system(self, path: str) -> bool:
        """Nothing, and that is enough."""
        return True


class _Thread:
    """What a test client uses of a process, over two pipes."""

    def __init__(self) -> None:
        incoming, to_engine = os.pipe()
        from_engine, outgoing = os.pipe()
        self._ends = (incoming, outgoing)
        self.stdin: IO[bytes] = os.fdopen(to_engine, "wb")
        self.stdout: IO[bytes] = os.fdopen(from_engine, "rb")
        self.stderr: IO[bytes] = open(os.devnull, "rb")  # noqa: SIM115 - closed with the session
        self.returncode: int | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self.returncode = Server(Wire(*self._ends), UnsyncedFiles()).serve()
        finally:
            for end in self._ends:
                os.close(end)

    def wait(self, timeout: float) -> int:
        """The exit status once the session has ended."""
        self._thread.join(timeout)
        assert self.returncode is not None
        return self.returncode


class InProcessEngine(Engine):
    """A session with an engine in a thread. It cannot be killed, and shares the process's fate."""

    def __post_init__(self) -> None:
        self.process = _Thread()  # type: ignore[assignment] # only what `Engine` uses of a process
        self._reader, self._frames, self._number = FrameReader(), [], 0
