"""An application that the runner keeps, in one file, and the engine's requests that bring it to a node."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mikoshi.core.deployment import Settings
from mikoshi.node.runner import doors
from mikoshi.node.runner.wire import PeerGone, Wire
from tests.node.client import APP, ENV, Built, Engine, build
from tests.node.conftest import poll

# Serves on its socket until TERM, then finishes what it has. What else it does stands in the file `mode`.
PROGRAM = """\
import os, signal, socket, sys, threading, time
mode = open("mode").read().split()
seq, trial = os.environ["MIKOSHI_SEQ"], "MIKOSHI_TRIAL" in os.environ
print("begins", os.environ["MIKOSHI_PROCESS"], flush=True)
wanted = "crash-on-demand" in mode and os.path.exists(os.path.join(os.environ["MIKOSHI_SHARED"], "crash"))
if wanted or "crash" in mode or ("crash-in-public" in mode and not trial):
    print("it broke", flush=True)
    sys.exit(3)
if "crash-late" in mode and not trial:
    threading.Timer(1.0, os._exit, (5,)).start()
if "fork-away" in mode:
    if os.fork():
        os._exit(0)
    os.setsid()
if "own-port" in mode:
    socket.create_server(("127.0.0.1", int(mode[mode.index("own-port") + 1])))
if "another-port" in mode:
    other = socket.create_server(("127.0.0.1", 0))
    time.sleep(60)
stopping = threading.Event()
signal.signal(signal.SIGTERM, signal.SIG_IGN if "ignore" in mode else lambda *_: stopping.set())
listener = socket.socket(fileno=3)
listener.settimeout(0.02)
if "deferred" in mode:
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
busy = []
def answer(connection):
    with connection:
        connection.settimeout(20)
        data = connection.recv(65536).decode()
        path = data.split()[1] if data else ""
        if path == "/up":
            with open(os.path.join(os.environ["MIKOSHI_SHARED"], "asked"), "w", newline="") as file:
                file.write(data)
        status = 500 if "ill" in mode else 200
        if path == "/slow":
            time.sleep(0.5)
        if path == "/die":
            os._exit(4)
        body = f"{seq} {os.getpid()} {data}".encode()
        head = b"HTTP/1.1 %d X\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n" % (status, len(body))
        connection.sendall(head + body)
while not stopping.is_set():
    try:
        connection, _ = listener.accept()
    except (TimeoutError, BlockingIOError):
        continue
    thread = threading.Thread(target=answer, args=(connection,))
    thread.start()
    busy = [one for one in busy if one.is_alive()] + [thread]
for thread in busy:
    thread.join()
"""
PYTHON = "python3 -S serve.py"  # finds its socket at descriptor 3, as both protocols say


def application(mode: str = "") -> Built:
    """A release of the application."""
    return build({"serve.py": PROGRAM.encode(), "mode": mode.encode()})


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Site:
    """An environment on this machine with one process `web`; everything ends with `close`."""

    base: Path
    port: int = field(default_factory=free_port)
    seq: int = 0

    @property
    def root(self) -> Path:
        """The environment's directory."""
        return self.base / APP / ENV

    def settings(self, within: float = 15.0, **process: Any) -> Settings:
        """Settings with the process `web`."""
        web = {
            "command": PYTHON, "listen": f"127.0.0.1:{self.port}", "instances": 1,
            "health": {"path": "/up", "within": within, "explicit": True}, "stop": {"signal": "TERM", "within": 10.0},
            "replace": "", "limits": {}, **process,
        }  # fmt: skip
        return Settings(processes={"web": web})

    def deploy(self, mode: str = "", settings: Settings | None = None, previous: int | None = None) -> int:
        """Bring the next deployment here and let it serve; its number."""
        previous = self.seq if previous is None else previous
        number = self.next_number()
        with Engine() as engine:
            engine.begin(self.base)
            engine.deploy(number, application(mode), previous, settings or self.settings())
        self.seq = number
        return number

    def next_number(self) -> int:
        """The number of the next deployment."""
        kept = [int(path.name) for path in (self.root / "deployments").glob("[0-9]*")]
        return max([0, *kept]) + 1

    # ── asking ─────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, path: str = "/", seconds: float = 10.0) -> str:
        """The answer's body: number of the deployment, pid, and the request as it came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read().decode()
            assert answer.status == 200, answer.status
            return body
        finally:
            connection.close()

    def serving(self) -> int:
        """Which deployment answers."""
        return int(self.get().split()[0])

    def ask(self, do: str, **fields: Any) -> Any:
        """What the runner answers; one that is just being started again is waited for."""
        found: list[Any] = []

        def answered() -> bool:
            try:
                wire = Wire(doors.connect(str(self.root)))
            except OSError:
                return False
            try:
                wire.send({"do": do, **fields})
                found.append(wire.receive()[0])
            except PeerGone:
                return False
            finally:
                wire.close()
            return True

        poll(answered)
        return found[0]["ok"]

    def processes(self, state: str = "running") -> list[dict[str, Any]]:
        """The runner's processes in this state."""
        return [row for row in self.ask("status")["processes"] if row["state"] == state]

    def log(self, process: str = "web") -> str:
        """What a process has printed."""
        return (self.root / "log" / f"{process}.log").read_text()

    # ── the end ────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """End the runner and all its processes, and look that none is left."""
        with contextlib.suppress(OSError):
            doors.connect(str(self.root)).close()
            os.kill(self.ask("hello")["holder"], signal.SIGTERM)
        deadline = time.monotonic() + 10
        while left := self.left():
            if time.monotonic() > deadline:
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            assert time.monotonic() < deadline + 10, left
            time.sleep(0.02)

    def left(self) -> list[int]:
        """Every process that has to do with this place."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if int(entry.name) != os.getpid() and str(self.base).encode() in told:
                    found.append(int(entry.name))
        return found


@contextlib.contextmanager
def load(site: Site, threads: int = 4, path: str = "/") -> Iterator[Counter[str]]:
    """Ask all the time from several sides; counts answers by deployment, and failures by kind."""
    counts: Counter[str] = Counter()
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                counts[site.get(path).split()[0]] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                counts[f"failed: {type(error).__name__}"] += 1
            ended.wait(0.01)

    asking = [threading.Thread(target=ask) for _ in range(threads)]
    for thread in asking:
        thread.start()
    try:
        yield counts
    finally:
        ended.set()
        for thread in asking:
            thread.join()


def failures(counts: Mapping[str, int]) -> dict[str, int]:
    """What of the counts are failures."""
    return {kind: count for kind, count in counts.items() if kind.startswith("failed")}


def until(condition: Callable[[], object]) -> None:
    """Wait for something to become true."""
    poll(condition)


def saved(site: Site, name: str) -> Any:
    """A file of the runner's."""
    return json.loads((site.root / "run" / name).read_text())
