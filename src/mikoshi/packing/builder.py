"""What a build needs of the place where its steps run, and this machine as such a place."""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import Protocol

from mikoshi.core.errors import Interrupted
from mikoshi.core.release import Entry
from mikoshi.packing.collect import collect_outputs
from mikoshi.packing.hashing import Hashed, hash_tree
from mikoshi.packing.materialise import materialise, remove
from mikoshi.packing.objects import Objects
from mikoshi.packing.platform import local_platform

_POLL = 0.2
_GRACE = 5.0
Listening = Callable[[str], None]


class OutputMissing(Exception):
    """The workspace has nothing at the path that is this exception's only argument."""


class Workspace(Protocol):
    """One tree in which steps run, one after the other."""

    def put(self, entries: Sequence[Entry]) -> None:
        """Write entries whose content is kept; nothing stands where they go."""
        ...

    def clear(self, paths: Sequence[str]) -> None:
        """Remove what stands at `paths`, if anything does."""
        ...

    def run(self, command: str, variables: Mapping[str, str], listening: Listening) -> int:
        """Run `command` with `/bin/sh -e` in the tree; each line it prints goes to `listening`.

        Returns its exit status, negative for a signal. Raises Interrupted, and an InfrastructureError on a host.
        """
        ...

    def take(self, paths: Sequence[str]) -> Hashed:
        """Keep everything at or below `paths`. Raises OutputMissing, and what collecting and hashing raise."""
        ...


class Builder(Protocol):
    """A machine where steps can run. `where` is its name for people, "" for this one."""

    @property
    def where(self) -> str:
        """The machine's name."""
        ...

    @property
    def platform(self) -> str:
        """What it builds for."""
        ...

    def workspace(self) -> AbstractContextManager[Workspace]:
        """An empty tree that is removed at the end."""
        ...


class LocalBuilder:
    """This machine. `scratch` is the directory for trees; `stop` ends a running step with everything it started."""

    where = ""

    def __init__(self, objects: Objects, scratch: Path, stop: Event) -> None:
        self._objects = objects
        self._scratch = scratch
        self._stop = stop

    @property
    def platform(self) -> str:
        """This machine's platform."""
        return local_platform()

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """An empty tree, at the same path as last time where possible: builds write it into what they make."""
        with _free_slot(self._scratch) as slot:
            tree = slot / "tree"
            remove(tree)
            tree.mkdir()
            try:
                yield _LocalWorkspace(self._objects, tree, self._stop)
            finally:
                remove(tree)


class _LocalWorkspace:
    def __init__(self, objects: Objects, tree: Path, stop: Event) -> None:
        self._objects = objects
        self._tree = tree
        self._stop = stop

    def put(self, entries: Sequence[Entry]) -> None:
        materialise(self._objects, entries, self._tree)

    def clear(self, paths: Sequence[str]) -> None:
        for path in paths:
            remove(self._tree / path)

    def run(self, command: str, variables: Mapping[str, str], listening: Listening) -> int:
        process = subprocess.Popen(
            ["/bin/sh", "-e", "-c", command],
            cwd=self._tree,
            env={**os.environ, **variables, "PWD": str(self._tree)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _relay(process, listening, self._stop)
            return process.wait()
        finally:
            _end_group(process)

    def take(self, paths: Sequence[str]) -> Hashed:
        for path in paths:
            if not os.path.lexists(self._tree / path):
                raise OutputMissing(path)
        return hash_tree(self._tree, collect_outputs(self._tree, paths), self._objects, None)


class LineSplitter:
    """Bytes as they come to whole lines of text; `end` gives what is left."""

    def __init__(self, listening: Listening) -> None:
        self._listening = listening
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Hand on the lines that are complete with `data`. A progress bar's carriage returns end lines too."""
        *lines, self._rest = (self._rest + data).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._listening(line.decode("utf-8", "replace"))

    def end(self) -> None:
        """Hand on a last line that no newline ended."""
        if self._rest:
            self._listening(self._rest.decode("utf-8", "replace"))
        self._rest = b""


def _relay(process: subprocess.Popen[bytes], listening: Listening, stop: Event) -> None:
    """Hand on what a process prints until it ends; what it left running may hold the pipe open for ever."""
    assert process.stdout is not None
    lines, stream = LineSplitter(listening), process.stdout.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        ended = False
        while True:
            if stop.is_set():
                raise Interrupted("a build step was running")
            ready = selector.select(0 if ended else _POLL)
            data = os.read(stream, 1 << 16) if ready else b""
            lines.feed(data)
            if (ready and not data) or (ended and not ready):
                break
            ended = ended or process.poll() is not None
    lines.end()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End whatever the step left running: politely, then for good."""
    deadline = time.monotonic() + _GRACE
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def _free_slot(scratch: Path) -> Iterator[Path]:
    """The first directory below `scratch` that no other process builds in."""
    for number in range(1 << 16):
        slot = scratch / str(number)
        slot.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(slot / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        try:
            yield slot
        finally:
            os.close(descriptor)
        return
