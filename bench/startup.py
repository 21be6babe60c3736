"""What it costs to start: the interpreter, the command line, the least command that reaches a host."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.application import Application
from bench.contenders.mikoshi import PROGRAM, Mikoshi
from bench.cost import Cost, run
from bench.site import Site, remote_directory
from bench.verify import remove
from mikoshi.testing.hosts import HostFleet, HostSpec


@dataclass(frozen=True)
class Start:
    """Medians for one command: seconds on the clock and of CPU."""

    command: str
    seconds: float
    cpu: float


def measure(repetitions: int, say: Callable[[str], None]) -> list[Start]:
    """Each command so many times, taking turns."""
    with tempfile.TemporaryDirectory(prefix="mikoshi-bench-") as scratch, HostFleet(Path(scratch, "fleet")) as fleet:
        hosts = fleet.start_all([HostSpec(size=None)])
        site = Site(Application(Path(scratch, "source")), hosts, hosts[0].ssh_config, Path(scratch))
        mikoshi = Mikoshi(site)
        mikoshi.deploy()
        ssh = ["ssh", "-F", str(site.ssh_config), hosts[0].name, "true"]
        status = [str(PROGRAM), "-C", str(site.application.directory), "status", "production"]
        commands: dict[str, tuple[Sequence[str], Mapping[str, str] | None]] = {
            "`python -I -S -c pass`": ([sys.executable, "-I", "-S", "-c", "pass"], None),
            "`python -c pass`": ([sys.executable, "-c", "pass"], None),
            "`mikoshi --version`": ([str(PROGRAM), "--version"], None),
            "`mikoshi status`, one host": (status, mikoshi.environment),
            "`ssh HOST true`": (ssh, None),
            "`rsync --version`": (["rsync", "--version"], None),
        }
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for _ in range(repetitions):
            for name, (command, environment) in commands.items():
                costs[name].append(run([command], environment=environment))
        say("startup: done")
        remove(hosts, remote_directory(Mikoshi.name))
    return [
        Start(name, median(cost.seconds for cost in found), median(cost.cpu for cost in found))
        for name, found in costs.items()
    ]
