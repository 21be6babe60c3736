"""The cases, in rounds: in each, every contender starts from nothing and goes through all cases once or more.

Contenders take turns in every round, in another order each time, so that what else the machine does meets all alike.
Writes of one case reach the disk before the next begins.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.application import Application
from bench.contenders.capistrano import Capistrano
from bench.contenders.mikoshi import Mikoshi, Wire
from bench.contenders.rsync import Rsync, RsyncConnected
from bench.contenders.tar import Tar
from bench.cost import Cost
from bench.site import Contender, Site, remote_directory
from bench.verify import remove, verify
from mikoshi.testing.hosts import HostFleet, HostSpec

FIRST, CHANGE, NOTHING, ROLLBACK = "first deploy", "one-file change", "no change", "rollback"
CASES = (FIRST, CHANGE, NOTHING, ROLLBACK)
CONTENDERS: dict[str, Callable[[Site], Contender]] = {
    Mikoshi.name: Mikoshi,
    Rsync.name: Rsync,
    RsyncConnected.name: RsyncConnected,
    Tar.name: Tar,
    Capistrano.name: Capistrano,
}
# What takes many minutes beyond so many hosts is left out there; the tables say so.
MOST_HOSTS = {Tar.name: 10, Capistrano.name: 10}


@dataclass(frozen=True)
class Amount:
    """How much is measured for one number of hosts: rounds, and how often in each a change is deployed."""

    rounds: int
    changes: int


@dataclass
class Results:
    """What was measured: costs by contender, number of hosts and case, and what Mikoshi says of the wire."""

    costs: dict[tuple[str, int, str], list[Cost]] = field(default_factory=dict)
    wires: dict[tuple[int, str], Wire] = field(default_factory=dict)

    def seconds(self, contender: str, hosts: int, case: str) -> float | None:
        """The median in seconds; None if it was not measured."""
        costs = self.costs.get((contender, hosts, case))
        return median(cost.seconds for cost in costs) if costs else None

    def add(self, contender: str, hosts: int, case: str, cost: Cost) -> None:
        """One measurement."""
        self.costs.setdefault((contender, hosts, case), []).append(cost)


def measure(names: Sequence[str], amounts: dict[int, Amount], say: Callable[[str], None]) -> Results:
    """Measure every contender on every number of hosts. Raises CommandFailed and WrongContent."""
    results = Results()
    with tempfile.TemporaryDirectory(prefix="mikoshi-bench-") as scratch:
        application = Application(Path(scratch, "source"))
        for count, amount in amounts.items():
            with HostFleet(Path(scratch, f"fleet{count}")) as fleet:
                hosts = fleet.start_all([HostSpec(size=None) for _ in range(count)])
                able = [name for name in names if count <= MOST_HOSTS.get(name, count)]
                for number, name in _turns(able, amount.rounds):
                    with tempfile.TemporaryDirectory(dir=scratch) as directory:
                        site = Site(application, hosts, hosts[0].ssh_config, Path(directory))
                        seconds = _round(results, name, site, amount.changes)
                    say(f"{count} hosts, round {number + 1}: {name}: {seconds}")
    return results


def _turns(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    for number in range(rounds):
        start = number % len(names)
        yield from ((number, name) for name in (*names[start:], *names[:start]))


def _round(results: Results, name: str, site: Site, changes: int) -> str:
    """One contender from nothing through all cases; says what it took."""
    application, hosts = site.application, site.hosts
    contender = CONTENDERS[name](site)
    took: list[str] = []

    def case(label: str, act: Callable[[], Cost]) -> None:
        os.sync()
        cost = act()
        verify(application.directory, hosts, contender.tree())
        results.add(name, len(hosts), label, cost)
        if isinstance(contender, Mikoshi) and contender.wire is not None:
            results.wires[len(hosts), label] = contender.wire
        took.append(f"{cost.seconds:.2f}")

    try:
        case(FIRST, contender.deploy)
        for version in range(1, changes + 1):
            case(NOTHING, contender.deploy)
            application.edit(version)
            contender.edited()
            case(CHANGE, contender.deploy)
            application.edit(0)
            contender.edited()
            case(ROLLBACK, contender.rollback)
    finally:
        contender.close()
        application.edit(0)
        remove(hosts, remote_directory(name))
    return " ".join(took)
