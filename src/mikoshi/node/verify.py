"""Compares a tree with what it must hold. An edit is anything that differs, an unlisted file included. Reads only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from mikoshi.core.errors import TreeEdited
from mikoshi.core.release import Entry
from mikoshi.node.fingerprints import Fingerprints
from mikoshi.node.layout import DIRECTORY_MODE, Layout, sealed_mode

MISSING, CHANGED, UNLISTED, UNSEALED = "missing", "changed", "unlisted", "unsealed"
_SHOWN = 10


@dataclass(frozen=True)
class Difference:
    """One path of a tree that is not as it must be, and how. UNSEALED: a directory with another mode."""

    path: str
    how: str


class Comparison:
    """One pass over a tree; `differences` gives what it finds."""

    def __init__(self, layout: Layout, tree: str, fingerprints: Fingerprints) -> None:
        self._layout, self._tree, self._fingerprints = layout, tree, fingerprints
        self._seen: set[str] = set()

    def differences(self) -> Iterator[Difference]:
        """Everything that differs; below an unlisted directory only the directory itself."""
        if not os.path.isdir(self._tree) or os.path.islink(self._tree):
            yield from (Difference(path, MISSING) for path in self._everything())
            return
        if stat.S_IMODE(os.lstat(self._tree).st_mode) != DIRECTORY_MODE:
            yield Difference("", UNSEALED)
        yield from self._below("")
        yield from (Difference(path, MISSING) for path in self._everything() if path not in self._seen)

    def _everything(self) -> Iterator[str]:
        yield from self._layout.parents_first()
        yield from self._layout.links
        yield from self._layout.files

    def _below(self, directory: str) -> Iterator[Difference]:
        with os.scandir(os.path.join(self._tree, directory)) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path = f"{directory}/{entry.name}" if directory else entry.name
            yield from self._one(path, entry)

    def _one(self, path: str, entry: os.DirEntry[str]) -> Iterator[Difference]:
        status = entry.stat(follow_symlinks=False)
        listed = self._layout.files.get(path)
        self._seen.add(path)
        if listed is not None:
            if not self._same_file(entry.path, status, listed):
                yield Difference(path, CHANGED)
        elif path in self._layout.links:
            if not stat.S_ISLNK(status.st_mode) or os.readlink(entry.path) != self._layout.links[path]:
                yield Difference(path, CHANGED)
        elif path not in self._layout.directories:
            yield Difference(path, UNLISTED)
        elif not stat.S_ISDIR(status.st_mode):
            yield Difference(path, CHANGED)
        else:
            if stat.S_IMODE(status.st_mode) != DIRECTORY_MODE:
                yield Difference(path, UNSEALED)
            yield from self._below(path)

    def _same_file(self, path: str, status: os.stat_result, listed: Entry) -> bool:
        if not matches(status, listed):
            return False
        return self._fingerprints.read(path, status) == listed.digest


def matches(status: os.stat_result, listed: Entry) -> bool:
    """Whether a file's kind, size and mode, without its content, are as listed."""
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_size == listed.size
        and stat.S_IMODE(status.st_mode) == sealed_mode(listed)
    )


def differences(layout: Layout, tree: str, fingerprints: Fingerprints) -> list[Difference]:
    """Everything in `tree` that is not as `layout` says."""
    return list(Comparison(layout, tree, fingerprints).differences())


def edited(found: list[Difference], seq: int) -> TreeEdited:
    """The error for a tree that differs."""
    return TreeEdited(seq, sorted(difference.path or "." for difference in found)[:_SHOWN])
