"""The engine's side of the conversation with the runner. It starts one that is not there, and outlives one that dies.

Every request may be asked again: a runner that was killed in between is asked anew as soon as the next one answers.
"""

from __future__ import annotations

import os
import time
from typing import Any

from mikoshi.core.errors import RunnerUnavailable, from_wire
from mikoshi.node.files import Files
from mikoshi.node.runner import doors, launch
from mikoshi.node.runner.wire import PeerGone, Wire

PROTOCOLS = (1,)
_APPEARS = 20.0
_POLL = 0.01


class Runner:
    """A connection to the runner of the environment in `root`."""

    def __init__(self, root: str, files: Files) -> None:
        self._root, self._files = root, files
        self._wire: Wire | None = None

    @property
    def running(self) -> bool:
        """Whether a runner answers, without starting one."""
        if self._wire is None:
            try:
                self._wire = self._hello()
            except (OSError, PeerGone):
                return False
        return True

    def ensure(self) -> None:
        """Have a runner of this engine's own sources. Raises RunnerUnavailable."""
        code = launch.install(self._root, self._files)
        if not self.running:
            launch.start(self._root, code, self._files)
            self._connect()
        if self.ask("hello")["code"] != code:
            self.ask("replace", code=code)
            self.close()
            self._connect(code)

    def ask(self, do: str, **fields: Any) -> Any:
        """The answer to a request. Raises what the runner answered with, and RunnerUnavailable."""
        deadline = time.monotonic() + _APPEARS
        while True:
            if self._wire is None:
                self._connect()
            assert self._wire is not None
            try:
                self._wire.send({"do": do, **fields})
                answer, _ = self._wire.receive()
            except PeerGone as error:
                self.close()
                if time.monotonic() > deadline:
                    raise RunnerUnavailable(f"it does not answer: {error}") from error
                continue
            if "error" in answer:
                raise from_wire(answer["error"])
            return answer["ok"]

    def close(self) -> None:
        """Hang up. What was wanted stays wanted."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _connect(self, code: str = "") -> None:
        """Wait for a runner, one of the sources `code` if they are given."""
        deadline = time.monotonic() + _APPEARS
        while True:
            try:
                self._wire = self._hello(code)
                return
            except (OSError, PeerGone) as error:
                if time.monotonic() > deadline:
                    words = last_words(self._root)
                    raise RunnerUnavailable(f"it does not start: {words or error}") from error
            time.sleep(_POLL)

    def _hello(self, code: str = "") -> Wire:
        wire = Wire(doors.connect(self._root))
        try:
            wire.send({"do": "hello"})
            answer, _ = wire.receive()
            found = answer["ok"]
            if found["protocol"] not in PROTOCOLS:
                raise RunnerUnavailable(f"it speaks {found['protocol']}, this engine {PROTOCOLS}")
            if code and found["code"] != code:
                raise PeerGone("the earlier runner still answers")
        except BaseException:
            wire.close()
            raise
        return wire


def last_words(root: str) -> str:
    """The last line that holder or runner wrote to their error output."""
    try:
        with open(os.path.join(root, "log", "runner.err"), encoding="utf-8", errors="replace") as file:
            return ([line.strip() for line in file.readlines()[-20:] if line.strip()] or [""])[-1]
    except OSError:
        return ""
