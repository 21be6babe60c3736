"""What packing tells while it works: values for whoever shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class FilesRead:
    """So many of `total` files are described; most were not read, because they are known."""

    done: int
    total: int


@dataclass(frozen=True)
class BuildStarted:
    """A build step begins to run `where` ("" for this machine)."""

    command: str
    where: str


@dataclass(frozen=True)
class BuildSkipped:
    """A build step was not run: its inputs are unchanged, its outputs are kept."""

    command: str


@dataclass(frozen=True)
class BuildLine:
    """A line that a build step printed."""

    line: str


Progress = FilesRead | BuildStarted | BuildSkipped | BuildLine
Listener = Callable[[Progress], None]


def nobody(_: Progress) -> None:
    """A listener that does not listen."""
