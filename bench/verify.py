"""Whether a host really holds the application: a fast tool that leaves something wrong behind has not won."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mikoshi.testing.hosts import Host

# What a tool adds of its own (Capistrano: REVISION), and what is no part of the application.
_OWN = frozenset({"REVISION", "mikoshi.toml"})


class WrongContent(Exception):
    """A host holds something else than what was deployed."""


def listing(directory: Path) -> dict[str, tuple[str, bool]]:
    """Each file below a directory: its digest, and whether it is executable."""
    found: dict[str, tuple[str, bool]] = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            path = Path(parent, name)
            relative = str(path.relative_to(directory))
            if relative not in _OWN:
                executable = bool(stat.S_IMODE(path.lstat().st_mode) & 0o100)
                found[relative] = (hashlib.sha256(path.read_bytes()).hexdigest(), executable)
    return found


def verify(application: Path, hosts: Sequence[Host], tree: str) -> None:
    """Compare every file on every host with the source. Raises WrongContent."""
    wanted = listing(application)

    def different(host: Host) -> list[str]:
        there = host.run(["readlink", "-f", tree]).stdout.decode().strip()
        held = listing(host.root / there.lstrip("/"))
        return [f"{host.name}: {path}" for path in wanted.keys() | held.keys() if wanted.get(path) != held.get(path)]

    with ThreadPoolExecutor(max_workers=2) as pool:
        wrong = [text for texts in pool.map(different, hosts) for text in texts]
    if wrong:
        raise WrongContent(f"{len(wrong)} files differ: {', '.join(sorted(wrong)[:5])}")


def remove(hosts: Sequence[Host], directory: str) -> None:
    """Empty the hosts of what a contender wrote, and let the disks come to rest."""

    def clean(host: Host) -> subprocess.CompletedProcess[bytes]:
        return host.run(["rm", "-rf", directory], timeout=300)

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(clean, hosts))
    os.sync()
