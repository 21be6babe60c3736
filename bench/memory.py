"""Peak memory on both sides with large files: what must not grow with them."""

from __future__ import annotations

import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.application import Application
from bench.contenders.mikoshi import Mikoshi
from bench.cost import Cost
from bench.site import Site
from mikoshi.testing.hosts import Host, HostFleet, HostSpec
from mikoshi.testing.hosts.processes import namespace_of, processes_in

LARGE = "assets/large.bin"
MEGABYTE = 1_000_000
_LOOK = 0.02  # seconds between looks at the engine's high-water mark


@dataclass(frozen=True)
class Peak:
    """One deploy: peak bytes of memory of the deployer and of the engine on the host, and bytes sent."""

    what: str
    seconds: float
    deployer: int
    engine: int
    sent: int


def measure(say: Callable[[str], None]) -> list[Peak]:
    """Deploys of one large file, new and with a byte inserted in its middle, to one host."""
    peaks: list[Peak] = []
    for megabytes in (200, 2000):
        with (
            tempfile.TemporaryDirectory(prefix="mikoshi-bench-") as scratch,
            HostFleet(Path(scratch, "fleet")) as fleet,
        ):
            host = fleet.start_all([HostSpec(size=None)])[0]
            application = Application(Path(scratch, "source"))
            large = application.directory / LARGE
            _write(large, megabytes)
            mikoshi = Mikoshi(Site(application, [host], host.ssh_config, Path(scratch)))
            peaks.append(_peak(f"first deploy with a file of {megabytes} MB", mikoshi, host))
            _insert(large)
            peaks.append(_peak(f"one byte inserted into the file of {megabytes} MB", mikoshi, host))
            say(f"memory: {megabytes} MB done")
    return peaks


def _peak(what: str, mikoshi: Mikoshi, host: Host) -> Peak:
    with _Watch(host) as watch:
        cost: Cost = mikoshi.deploy()
    sent = mikoshi.wire.bytes_sent if mikoshi.wire else 0
    return Peak(what, cost.seconds, cost.memory, watch.peak, sent)


class _Watch:
    """Reads the high-water mark of every Python process on a host until the block ends."""

    def __init__(self, host: Host) -> None:
        self.peak = 0
        self._namespace = namespace_of(host.pid) or ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(_LOOK):
            self.peak = max([self.peak, *self._marks()])

    def _marks(self) -> Iterator[int]:
        for pid in processes_in(self._namespace):
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            if fields.get("Name", "").startswith("python") and "VmHWM" in fields:
                yield int(fields["VmHWM"].split()[0]) * 1024


def _write(path: Path, megabytes: int) -> None:
    """Noise, which no compression helps with."""
    chance = random.Random(megabytes)
    with path.open("wb") as file:
        for _ in range(megabytes):
            file.write(chance.randbytes(MEGABYTE))


def _insert(path: Path) -> None:
    """Insert a byte in the middle: the file is written anew, block by block."""
    new = path.with_suffix(".new")
    half = path.stat().st_size // 2
    with path.open("rb") as old, new.open("wb") as file:
        while block := old.read(min(MEGABYTE, half - old.tell()) if old.tell() < half else MEGABYTE):
            file.write(block)
            if old.tell() == half:
                file.write(b"!")
    new.replace(path)
