"""Replaces one server process by the next on one listening socket, as a process runner does, under load.

The socket belongs to this process and is open in every generation. A generation is ready when it has answered a fresh
connection; then the one before it gets its stop signal and a time limit. Nothing of Mikoshi's own runner is used.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import mikoshi.drain
from bench.loader import Outcome, Profile, Sample, keep_alive, load_all, one
from bench.relay import relay

FD = 3
READY_SECONDS = 30.0
# LISTEN_FDS demands that the descriptor is 3 and that LISTEN_PID is the process that runs in the end.
_LAUNCH = (
    "import os, sys; n = int(sys.argv[1]); os.dup2(n, 3); n == 3 or os.close(n); "
    "os.environ['LISTEN_PID'] = str(os.getpid()); os.execvp(sys.argv[2], sys.argv[2:])"
)


class NotReady(Exception):
    """A generation ended or did not answer in time; with what it printed."""


@dataclass(frozen=True)
class Subject:
    """A server to be replaced. In `command` and `env`, {fd} and {port} are filled in, as Mikoshi does.

    Every generation gets $PORT and its name in $GENERATION; and LISTEN_FDS and SERVER_STARTER_PORT unless {fd} is
    named: gunicorn fails when it is told of one descriptor twice. `within` is in seconds.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stop: signal.Signals = signal.SIGTERM
    within: float = 15.0

    @property
    def names_descriptor(self) -> bool:
        """Whether {fd} is named."""
        return any("{fd}" in text for text in (*self.command, *self.env.values()))


@dataclass
class Swapped:
    """What was seen: every request, how each replaced generation exited, and when (`time.monotonic`) it was told to."""

    samples: list[Sample]
    codes: list[int]
    signalled: list[float]
    took: list[float]


def lay_out_drain(directory: Path) -> Path:
    """Make `directory` what $MIKOSHI_DRAIN is on a server: node.js, and the package for PYTHONPATH."""
    source = Path(mikoshi.drain.__file__).parent
    package = directory / "mikoshi" / "drain"
    package.mkdir(parents=True)
    (directory / "mikoshi" / "__init__.py").touch()
    for module in source.glob("*.py"):
        shutil.copy(module, package)
    for script in source.glob("*.js"):
        shutil.copy(script, directory)
    return directory


class Swapper:
    """The listening socket and its generations. Leaving the block ends every one of them."""

    def __init__(self, subject: Subject, directory: Path) -> None:
        self.subject = subject
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self.log = directory / "log"
        self.running: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """Where the generations are asked."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.running:
            _kill_group(process)
        self._listener.close()

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a generation; it is not ready yet."""
        subject = self.subject
        values = {"fd": str(FD), "port": str(self.port)}
        own = {"PORT": str(self.port), "GENERATION": name}
        if not subject.names_descriptor:
            own |= {"LISTEN_FDS": "1", "SERVER_STARTER_PORT": f"127.0.0.1:{self.port}={FD}"}
        fd = self._listener.fileno()
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-IS",
                    "-c",
                    _LAUNCH,
                    str(fd),
                    *(_filled(part, values) for part in subject.command),
                ],
                env={**os.environ, **own, **{key: _filled(text, values) for key, text in subject.env.items()}},
                pass_fds=[fd],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.running.append(process)
        return process

    async def ready(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Return once that generation has answered a fresh connection. Raises NotReady."""
        deadline = time.monotonic() + READY_SECONDS
        while await self.answer() != name:
            if process.poll() is not None or time.monotonic() > deadline:
                raise NotReady(self.log.read_text(errors="replace")[-2000:])
            await asyncio.sleep(0.02)

    async def answer(self) -> str | None:
        """The generation that answers a fresh connection now, None if none does."""
        sample = await one(Profile("ready", 1, 1, keep=False, timeout=2), self.url)
        return sample.generation if sample.outcome is Outcome.OK else None

    async def end(self, process: subprocess.Popen[bytes]) -> int:
        """Send a generation its stop signal and wait; its exit code, negative for a signal (-9: it took too long)."""
        process.send_signal(self.subject.stop)
        deadline = time.monotonic() + self.subject.within
        while process.poll() is None:
            if time.monotonic() > deadline:
                _kill_group(process)
            await asyncio.sleep(0.02)
        return process.returncode


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a generation with its workers, which outlive a parent that is killed, and go on accepting."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


async def swap(
    subject: Subject,
    directory: Path,
    profiles: Sequence[Profile] = (keep_alive(50, 8),),
    swaps: int = 1,
    pause: float = 0.3,
    away: float = 0.0,
) -> Swapped:
    """Replace a server `swaps` times under load of clients `away` seconds from it, each way. Raises NotReady.

    `pause` is how many seconds pass before the first, between two, and after the last.
    """
    result = Swapped([], [], [], [])
    with Swapper(subject, directory) as swapper:
        process = swapper.start("1")
        await swapper.ready("1", process)
        async with relay(swapper.url, away) as url:
            stop = asyncio.Event()
            loading = asyncio.create_task(load_all(profiles, url, stop))
            try:
                await asyncio.sleep(pause)
                for number in range(2, swaps + 2):
                    process = await _replace(swapper, process, str(number), result)
                    await asyncio.sleep(pause)
            finally:
                stop.set()
                result.samples = await loading
    return result


async def _replace(
    swapper: Swapper, process: subprocess.Popen[bytes], name: str, result: Swapped
) -> subprocess.Popen[bytes]:
    """Start a generation, wait until it is ready, and end the one before it."""
    following = swapper.start(name)
    await swapper.ready(name, following)
    result.signalled.append(time.monotonic())
    result.codes.append(await swapper.end(process))
    result.took.append(time.monotonic() - result.signalled[-1])
    return following
