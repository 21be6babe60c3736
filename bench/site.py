"""What every contender works with: the same application, the same hosts, a directory of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.application import Application
from bench.cost import Cost
from mikoshi.testing.hosts import Host


@dataclass(frozen=True)
class Site:
    """One round's surroundings. `directory` is new and the contender's own; `ssh_config` reaches the hosts."""

    application: Application
    hosts: Sequence[Host]
    ssh_config: Path
    directory: Path


class Contender(Protocol):
    """A tool that deploys. Made for one round on hosts that know nothing of it yet."""

    def edited(self) -> None:
        """The source was changed: do, unmeasured, what a person has done by then (a commit)."""
        ...

    def deploy(self) -> Cost:
        """Bring the source as it is to all hosts."""
        ...

    def rollback(self) -> Cost:
        """Go back to what ran before. The source holds that version again, for tools that need it."""
        ...

    def tree(self) -> str:
        """Where the application now stands on a host: an absolute path, or one whose symlinks are to be followed."""
        ...

    def close(self) -> None:
        """End whatever was started. What it wrote on the hosts is below `remote_directory`."""
        ...


def remote_directory(name: str) -> str:
    """Where a contender may write on the hosts."""
    return f"/srv/{name}"
