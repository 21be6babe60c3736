"""What servers lose when a new generation takes over their socket and the old one gets its stop signal.

`python -m bench.servers [NAME...]` swaps each server a few times under a modest load of clients some milliseconds away,
one server after another, and prints a row for each. Servers that are not installed are named and left out:
`pip install -e '.[bench]'` and `tools/system-packages bench` have all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.loader import Outcome, failures, fresh, keep_alive, percentile, post, stream
from bench.swap import NotReady, Subject, Swapped, lay_out_drain, swap

ROOT = Path(__file__).parent.parent
APPLICATIONS = ROOT / "bench" / "applications"
SWAPS = 5
AWAY = 0.01
PROFILES = (keep_alive(60, 8), fresh(20, 4), post(40, 8), post(20, 4, keep=False), stream(0.4, 1, 10, 0.2))
_ASGI, _WSGI = "bench.applications.asgi:application", "bench.applications.wsgi:application"


@dataclass(frozen=True)
class Server:
    """How a server is started, and what has to be there: a program, or a Python module."""

    name: str
    needs: str
    command: Sequence[str]
    env: Mapping[str, str]
    stop: signal.Signals = signal.SIGTERM

    @property
    def is_here(self) -> bool:
        """Whether it can be measured on this machine."""
        return shutil.which(self.needs) is not None or importlib.util.find_spec(self.needs) is not None

    def subject(self, drain: Path) -> Subject:
        """The server as it is swapped; `drain` is what $MIKOSHI_DRAIN is."""
        path = {"PYTHONPATH": f"{drain}:{ROOT}"}
        command = [part.replace("{drain}", str(drain)) for part in self.command]
        return Subject(self.name, command, {**path, **self.env}, self.stop, within=10)


def _python(name: str, module: str, *arguments: str) -> Server:
    return Server(name, module, (sys.executable, "-m", module, *arguments), {})


def _perl(name: str, needs: str, *command: str, stop: signal.Signals = signal.SIGTERM) -> Server:
    return Server(name, needs, (*command, "-E", "deployment", str(APPLICATIONS / "app.psgi")), {}, stop)


def servers() -> list[Server]:
    """Every server that is measured.

    Those whose workers serve one connection at a time have workers enough for all connections, where these are kept.
    """
    gunicorn = ("--bind", "fd://{fd}", "--log-level", "warning", _WSGI)
    uvicorn = ("uvicorn", "--no-access-log", _ASGI)
    node = str(APPLICATIONS / "server.js")
    starlet = ("plackup", "-s", "Starlet", "--max-keepalive-reqs")
    starman = ("starman", "--workers")
    puma = ("puma", "-t", "8:16", "-b", "tcp://127.0.0.1:{port}", str(APPLICATIONS / "config.ru"))
    return [
        _python("gunicorn, sync", "gunicorn", "-w", "10", *gunicorn),
        _python("gunicorn, gthread", "gunicorn", "-w", "2", "-k", "gthread", "--threads", "16", *gunicorn),
        _python("uvicorn", "uvicorn", "--no-access-log", "--fd", "{fd}", _ASGI),
        Server("uvicorn, drained", "uvicorn", (sys.executable, "-m", "mikoshi.drain", *uvicorn), {}),
        _python("hypercorn", "hypercorn", "--bind", "fd://{fd}", _ASGI),
        Server("Node, server.close()", "node", ("node", node), {"FD": "{fd}", "HANDLER": "1"}),
        Server("Node, drained", "node", ("node", "--require", "{drain}/node.js", node), {}),
        _perl("Starlet, --max-keepalive-reqs 1", "start_server", *starlet, "1", "--max-workers", "10"),
        _perl("Starlet, --max-keepalive-reqs 100", "start_server", *starlet, "100", "--max-workers", "32"),
        _perl("Starman", "starman", *starman, "32", stop=signal.SIGQUIT),
        _perl("Starman, --disable-keepalive", "starman", *starman, "10", "--disable-keepalive", stop=signal.SIGQUIT),
        Server("Puma", "puma", puma, {}),
    ]


def row(server: Server, seen: Swapped) -> str:
    """One server as a row of a table."""
    lost = failures(seen.samples)
    by_profile = Counter(sample.profile for sample in lost)
    ways = Counter(sample.outcome for sample in lost)
    ok = [sample.latency for sample in seen.samples if sample.outcome is Outcome.OK and sample.profile != "stream"]
    cells = [
        server.name,
        server.stop.name.removeprefix("SIG"),
        str(len(seen.samples)),
        str(len(lost)),
        ", ".join(f"{number} {profile}" for profile, number in sorted(by_profile.items())) or "–",
        ", ".join(f"{number} {way.value}" for way, number in ways.most_common()) or "–",
        f"{percentile(ok, 0.5) * 1000:.0f} / {percentile(ok, 0.99) * 1000:.0f}",
        f"{median(seen.took):.1f}",
        ", ".join(str(code) for code in sorted(set(seen.codes))),
    ]
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| server | signal | requests | lost | of which | how | ms, p50 / p99 | seconds to end | exit code |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    """Measure the servers named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench.servers", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only servers whose name contains this")
    names = parser.parse_args().names
    print(HEAD)
    for server in servers():
        if names and not any(name in server.name for name in names):
            continue
        if not server.is_here:
            print(f"{server.name}: not measured, {server.needs} is not installed", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory(prefix="mikoshi-bench-") as scratch:
            directory = Path(scratch)
            subject = server.subject(lay_out_drain(directory / "drain"))
            os.environ.pop("MIKOSHI_DRAIN_SECONDS", None)
            try:
                seen = asyncio.run(swap(subject, directory, PROFILES, SWAPS, pause=0.5, away=AWAY))
            except NotReady as problem:
                print(f"{server.name}: not measured: {problem}", file=sys.stderr)
                continue
            print(row(server, seen), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
