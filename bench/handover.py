"""From one version of a server to the next under load: `python -m bench.handover`.

Each way takes 20 swaps under a fixed rate of requests, about 40 % of the machine's processor time, the load's own share
included: GET on kept connections, GET on fresh ones, POST, and a streamed response. What is counted is every request
that was not answered whole; what is timed, how long the slowest hundredth took in a swap and otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench import report
from bench.loader import (
    Outcome,
    Profile,
    Sample,
    failures,
    fresh,
    generations,
    keep_alive,
    load_all,
    outcomes,
    percentile,
    post,
    stream,
)
from bench.replacing.others import others
from bench.replacing.way import Way, free_port
from bench.replacing.with_mikoshi import WithMikoshi

SHARE = 0.40
_TRY_RATE, _TRY_SECONDS = 150.0, 3.0
_MOST_RATE = 1500.0
_IDLE_SECONDS = 10.0


@dataclass(frozen=True)
class Load:
    """How hard a server is asked: requests a second in all, over `connections`; seconds of a streamed response."""

    rate: float
    connections: int = 64
    streamed: float = 5.0

    def profiles(self, echoes: bool) -> list[Profile]:
        """Half kept, a quarter fresh, a quarter POST, and a few streams; all GET where POST cannot be."""
        half, quarter = self.rate / 2, self.rate / 4
        if not echoes:
            plain = [keep_alive(half, self.connections // 2), fresh(half, self.connections // 2)]
            return [replace(profile, expected=None) for profile in plain]
        parts = max(1, round(self.streamed / 0.25))
        return [
            keep_alive(half, self.connections // 2),
            fresh(quarter, self.connections // 4),
            post(quarter, self.connections // 8),
            stream(0.5, self.connections // 8, parts, 0.25),
        ]


@dataclass(frozen=True)
class Result:
    """What one way has done: all requests, when each swap began and ended (`time.monotonic`), and the rate."""

    way: Way
    samples: list[Sample]
    swaps: list[tuple[float, float]]
    rate: float

    def during(self, sample: Sample) -> bool:
        """Whether a request began in a swap."""
        return any(begun <= sample.start <= ended for begun, ended in self.swaps)


def ways() -> list[Way]:
    """Everything that is compared, new each time."""
    python = shlex.quote(sys.executable)
    gunicorn = f"{python} -m gunicorn --bind fd://{{fd}} --log-level error --no-control-socket"
    threads = "-k gthread --workers 2 --threads 8"
    quiet = "--log-level error asgi:application"
    perl = "--env production app.psgi"
    mine: list[Way] = [
        WithMikoshi("gunicorn sync", "A", f"{gunicorn} --workers 8 wsgi:application", ("wsgi.py",)),
        WithMikoshi("gunicorn gthread", "A", f"{gunicorn} {threads} wsgi:application", ("wsgi.py",)),
        WithMikoshi("uvicorn, drain", "A", f"{python} -m mikoshi.drain uvicorn {quiet}", ("asgi.py",)),
        WithMikoshi("Node, drain", "A", "node --require $MIKOSHI_DRAIN/node.js server.js", ("server.js",)),
        WithMikoshi("Starlet", "A", f"plackup -s Starlet --max-workers 8 {perl}", ("app.psgi",)),
        WithMikoshi("Starman", "B", f"starman --workers 8 --disable-keepalive {perl}", ("app.psgi",), stop="QUIT"),
        WithMikoshi("uvicorn as it is", "B", f"{python} -m uvicorn --fd {{fd}} {quiet}", ("asgi.py",)),
    ]
    return [*mine, *others()]


async def measure(
    way: Way, directory: Path, swaps: int, load: Load | None = None, pause: float = 2.0, requests: int = 1000
) -> Result:
    """Swap a server under load. `load` None: as hard as the share of the processor allows. At least `pause` seconds
    and so many `requests` lie between two begins."""
    port = free_port()
    try:
        await asyncio.to_thread(way.start, directory, port)
        chosen = load or Load(await rate_for(way, port))
        stop = asyncio.Event()
        asking = asyncio.create_task(load_all(chosen.profiles(way.echoes), f"http://127.0.0.1:{port}", stop))
        spans: list[tuple[float, float]] = []
        try:
            await asyncio.sleep(pause)
            for version in range(2, swaps + 2):
                begun = time.monotonic()
                await asyncio.to_thread(way.swap, version)
                spans.append((begun, time.monotonic()))
                await asyncio.sleep(max(pause, requests / chosen.rate - (spans[-1][1] - begun)))
        finally:
            stop.set()
            samples = await asking
        return Result(way, samples, spans, chosen.rate)
    finally:
        await asyncio.to_thread(way.end)


async def rate_for(way: Way, port: int) -> float:
    """The rate that uses the share of the machine's processor time, found by trying a low one."""
    stop = asyncio.Event()
    before = busy()
    asking = asyncio.create_task(load_all(Load(_TRY_RATE).profiles(way.echoes), f"http://127.0.0.1:{port}", stop))
    await asyncio.sleep(_TRY_SECONDS)
    used, total = (after - earlier for after, earlier in zip(busy(), before, strict=True))
    stop.set()
    await asking
    return min(_MOST_RATE, _TRY_RATE * SHARE / max(0.01, used / total))


def busy() -> tuple[float, float]:
    """Processor time used and passed since the machine began, over all cores (proc(5): /proc/stat)."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, sum(fields)


def memory() -> str:
    """What an idle runner takes: its two processes, by the kernel's proportional set size, and processor time."""
    way = next(way for way in ways() if isinstance(way, WithMikoshi))
    with tempfile.TemporaryDirectory(prefix="mikoshi-bench-") as directory:
        try:
            way.start(Path(directory), free_port())
            pids = way.runner_pids()
            before = [ticks(pid) for pid in pids]
            time.sleep(_IDLE_SECONDS)
            used = sum(ticks(pid) for pid in pids) - sum(before)
            size = sum(proportional(pid) for pid in pids)
        finally:
            way.end()
    seconds = used / os.sysconf("SC_CLK_TCK")
    within = f"{seconds:.2f} s of processor time in {_IDLE_SECONDS:.0f} s"
    return f"An idle runner, both processes: {size / 1000:.1f} MB; {within}."


def ticks(pid: int) -> int:
    """Processor time of a process (proc(5): utime and stime), in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def proportional(pid: int) -> int:
    """Proportional set size of a process, in kB: pages that several share count in parts."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def row(result: Result) -> list[str]:
    """One line of the table."""
    quick = [one for one in result.samples if one.profile != "stream" and one.outcome is Outcome.OK]
    quiet = [sample.latency for sample in quick if not result.during(sample)]
    swapping = [sample.latency for sample in quick if result.during(sample)]
    lost = failures(result.samples)
    kinds = ", ".join(f"{count} {kind.value}" for kind, count in outcomes(lost).most_common())
    slow, usual = percentile(swapping, 0.99), percentile(quiet, 0.99)
    return [
        result.way.name, result.way.kind, f"{len(result.samples)}", f"{result.rate:.0f}/s",
        f"{len(lost)}" + (f" ({kinds})" if kinds else ""), f"{len(generations(result.samples))}",
        f"{usual * 1000:.1f}", f"{slow * 1000:.1f} (×{slow / usual:.1f})",
        f"{percentile([ended - begun for begun, ended in result.swaps], 0.5):.2f}",
    ]  # fmt: skip


_HOW = "Latencies are those of complete answers, streamed ones left out."
HEAD = ["", "class", "requests", "rate", "failed", "versions seen", "p99 ms, quiet", "p99 ms, in a swap", "a swap, s"]


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code."""
    options = _parser().parse_args(arguments)
    rows = []
    for way in ways():
        if options.only and not any(part in way.name for part in options.only):
            continue
        say(f"{way.name} …")
        with tempfile.TemporaryDirectory(prefix="mikoshi-bench-") as directory:
            result = asyncio.run(measure(way, Path(directory), options.swaps, pause=options.pause))
        rows.append(row(result))
        say("  " + " | ".join(rows[-1]))
    command = shlex.join(["python", "-m", "bench.handover", *arguments])
    text = report.page([report.table(HEAD, rows), memory()], command, _HOW)
    if options.write:
        report.write(options.write, report.HANDOVER, text)
    else:
        print(text)
    return 0


def say(text: str) -> None:
    """Progress, apart from what is measured."""
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.handover", description="Measure hand-overs under load.")
    parser.add_argument("--swaps", type=int, default=20, help="how many (20)")
    parser.add_argument("--pause", type=float, default=2.0, help="quiet seconds between two swaps (2)")
    parser.add_argument("--only", type=lambda text: text.split(","), help="parts of names")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
