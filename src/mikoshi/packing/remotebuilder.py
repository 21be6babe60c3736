"""A host as the place where build steps run: trees go there and come back as tar streams over one remote shell.

The host needs `sh`, `tar`, `mktemp` and `ps`, and the tools of the build itself. Everything stands in one temporary
directory there, which is removed at the end. See docs/decisions/0014-building-on-a-host.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import BinaryIO

from mikoshi.core.address import Address
from mikoshi.core.errors import InfrastructureError, Interrupted, RemoteCommandFailed, last_lines
from mikoshi.core.platforms import platform_name
from mikoshi.core.release import Entry
from mikoshi.packing.builder import LineSplitter, Listening, OutputMissing, Workspace
from mikoshi.packing.hashing import Hashed
from mikoshi.packing.objects import Objects
from mikoshi.packing.tarstream import kept_from_tar, tar_of
from mikoshi.ports.remote import RemoteShell, Sink

_POLL = 0.2
_MISSING = 91  # exit status of our own script: an output does not exist
_END_TREE = """
end() { for child in $(ps -A -o pid= -o ppid= | awk -v parent="$1" '$2 == parent { print $1 }'); do end "$child"; done
kill -TERM "$1"; }
end "$(cat "$1")" 2>/dev/null
"""


class RemoteBuilder:
    """`address` as a builder. Blocking, to be called in a thread; `loop` runs the shell meanwhile.

    `scratch` is a directory here for what comes back; setting `stop` ends a running step.
    """

    def __init__(
        self,
        objects: Objects,
        shell: RemoteShell,
        address: Address,
        loop: asyncio.AbstractEventLoop,
        scratch: Path,
        stop: Event,
    ) -> None:
        self._objects = objects
        self._remote = _Remote(shell, address, loop, stop)
        self._scratch = scratch
        self.where = address.name

    @cached_property
    def platform(self) -> str:
        """The host's platform, asked once."""
        system, machine = self._remote.ask("uname -s && uname -m").split()
        return platform_name(system, machine)

    @contextlib.contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """An empty tree on the host."""
        place = self._remote.ask('umask 077; mktemp -d "${TMPDIR:-/tmp}/mikoshi-build.XXXXXX"').strip()
        quoted = shlex.quote(place)
        try:
            self._remote.ask(f"mkdir {quoted}/tree")
            yield _RemoteWorkspace(self._objects, self._remote, place, self._scratch)
        finally:
            # A host that is out of reach keeps its temporary directory; what went wrong before that is what matters.
            with contextlib.suppress(InfrastructureError, RemoteCommandFailed):
                self._remote.ask(f"chmod -R u+rwx {quoted}; rm -rf {quoted}", even_stopped=True)


class _RemoteWorkspace:
    def __init__(self, objects: Objects, remote: _Remote, place: str, scratch: Path) -> None:
        self._objects = objects
        self._remote = remote
        self._tree = shlex.quote(place + "/tree")
        self._pid = shlex.quote(place + "/pid")
        self._scratch = scratch

    def put(self, entries: Sequence[Entry]) -> None:
        self._remote.ask(f"tar -xof - -C {self._tree}", stdin=_threaded(tar_of(self._objects, entries)))

    def clear(self, paths: Sequence[str]) -> None:
        if paths:
            names = " ".join(shlex.quote("./" + path) for path in paths)
            self._remote.ask(f"cd {self._tree} && chmod -R u+rwx {names} 2>/dev/null; rm -rf {names}")

    def run(self, command: str, variables: Mapping[str, str], listening: Listening) -> int:
        exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in variables.items())
        script = (
            f"cd {self._tree} && echo $$ > {self._pid} && {exports}"
            f"exec /bin/sh -e -c {shlex.quote(command)} </dev/null 2>&1"
        )
        lines = LineSplitter(listening)
        status = self._remote.run(script, stdout=lines.feed, ending=f"set -- {self._pid}\n{_END_TREE}")
        lines.end()
        return status

    def take(self, paths: Sequence[str]) -> Hashed:
        if not paths:
            return Hashed()
        names = " ".join(shlex.quote("./" + path) for path in paths)
        exists = '[ -e "$path" ] || [ -L "$path" ]'
        look = f'for path in {names}; do {exists} || {{ printf %s "$path"; exit {_MISSING}; }}; done'
        said = bytearray()
        if self._remote.run(f"cd {self._tree} && {look}", stdout=said.extend) == _MISSING:
            raise OutputMissing(said.decode("utf-8", "replace").removeprefix("./"))
        self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=self._scratch) as archive:
            self._remote.checked(f"cd {self._tree} && tar -cf - {names}", stdout=_writer(archive))
            archive.seek(0)
            return kept_from_tar(self._objects, archive, paths)


class _Remote:
    """The remote shell of one address, for a thread that waits."""

    def __init__(self, shell: RemoteShell, address: Address, loop: asyncio.AbstractEventLoop, stop: Event) -> None:
        self._shell = shell
        self._address = address
        self._loop = loop
        self._stop = stop

    def run(
        self,
        command: str,
        stdin: AsyncIterator[bytes] | bytes = b"",
        stdout: Sink | None = None,
        stderr: Sink | None = None,
        even_stopped: bool = False,
        ending: str = "",
    ) -> int:
        """The command's exit status. Raises Interrupted once `stop` is set, and what the shell raises.

        `ending` is a command that ends what runs: hanging up would leave the processes that it started.
        """
        running = self._shell.run(self._address, command, stdin, stdout, stderr)
        future = asyncio.run_coroutine_threadsafe(running, self._loop)
        while True:
            try:
                return future.result(timeout=_POLL)
            except TimeoutError:
                if future.done():  # the command's own
                    raise
                if self._stop.is_set() and not even_stopped:
                    if ending:
                        self._end(ending)
                    future.cancel()
                    raise Interrupted("a build was running on a host") from None

    def _end(self, ending: str) -> None:
        with contextlib.suppress(InfrastructureError, RemoteCommandFailed):  # out of reach: there is nothing to end
            self.ask(ending, even_stopped=True)

    def checked(
        self,
        command: str,
        stdin: AsyncIterator[bytes] | bytes = b"",
        stdout: Sink | None = None,
        even_stopped: bool = False,
    ) -> None:
        """Run one of our own commands. Raises RemoteCommandFailed if it fails."""
        errors = bytearray()
        status = self.run(command, stdin, stdout, errors.extend, even_stopped)
        if status != 0:
            lines = last_lines(errors.decode("utf-8", "replace"))
            raise RemoteCommandFailed(command, status, lines).on(self._address.name)

    def ask(self, command: str, stdin: AsyncIterator[bytes] | bytes = b"", even_stopped: bool = False) -> str:
        """What one of our own commands prints. Raises RemoteCommandFailed if it fails."""
        said = bytearray()
        self.checked(command, stdin, said.extend, even_stopped)
        return said.decode("utf-8", "replace")


def _writer(archive: BinaryIO) -> Sink:
    def write(data: bytes) -> None:
        archive.write(data)

    return write


async def _threaded(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces, each made in a thread: reading them must not hold up the loop."""
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
