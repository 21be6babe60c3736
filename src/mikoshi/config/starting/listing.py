"""A look at a source directory: the names of its files two levels deep, and the text of those that are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_LONGEST = 256 * 1024
_MOST = 5000
_SKIPPED = {"node_modules", "local", "venv", "__pycache__"}


@dataclass(frozen=True)
class Listing:
    """Relative names with "/" between them, and a reader that gives "" for what cannot be read as text."""

    names: frozenset[str]
    read: Callable[[str], str]


def directory_listing(root: Path) -> Listing:
    """The listing of a directory on disk. Hidden directories and those of dependencies are left out."""
    names: list[str] = []
    for directory, below, files in os.walk(root):
        depth = len(Path(directory).relative_to(root).parts)
        below[:] = sorted(n for n in below if depth < 1 and n not in _SKIPPED and not n.startswith("."))
        names += [str((Path(directory) / name).relative_to(root)) for name in sorted(files)]
        if len(names) > _MOST:
            break

    def read(name: str) -> str:
        try:
            with (root / name).open("rb") as file:
                return file.read(_LONGEST).decode()
        except (OSError, UnicodeDecodeError):
            # What cannot be read says nothing about the application.
            return ""

    return Listing(frozenset(names), read)
