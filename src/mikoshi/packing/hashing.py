"""From the files that were collected to manifest entries: read what changed, take the rest from the stat cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mikoshi.core.release import Entry, directory_entry, file_entry, link_entry
from mikoshi.packing import statcache
from mikoshi.packing.clock import Moment, moment_of
from mikoshi.packing.collect import SourceFile, SourceTree
from mikoshi.packing.objects import Objects
from mikoshi.packing.platform import may_be_native, platforms_of_header
from mikoshi.packing.statcache import Known, StatCache

Counted = Callable[[int, int], None]


@dataclass
class Hashed:
    """The entries of a tree. `platforms` maps paths of native files to their platforms ("a+b").

    `read_files` and `read_bytes` count what had to be read, the rest was known.
    """

    entries: list[Entry] = field(default_factory=list)
    platforms: dict[str, str] = field(default_factory=dict)
    read_files: int = 0
    read_bytes: int = 0


def hash_tree(
    root: Path,
    tree: SourceTree,
    objects: Objects,
    cache_file: Path | None,
    counted: Counted = lambda _done, _total: None,
) -> Hashed:
    """Keep the content of all files of `tree` (collected below `root`) as objects, and describe them as entries.

    `cache_file` is the stat cache to use and renew, None for none. `counted` gets files done and files in all. Raises
    FileChanged, NotPackable and DiskFull.
    """
    cache = statcache.load(cache_file) if cache_file else StatCache({})
    reading = _Reading(os.fsencode(root), objects, cache, objects.digests())
    if cache_file:
        cache_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        reading.moment = moment_of(root, cache_file.parent)
    for number, file in enumerate(tree.files, 1):
        reading.take(file)
        if number % 256 == 0 or number == len(tree.files):
            counted(number, len(tree.files))
    if cache_file and reading.worth_saving():
        statcache.save(cache_file, reading.settled)
    reading.hashed.entries += [link_entry(path, target) for path, target in tree.links]
    reading.hashed.entries += [directory_entry(path) for path in tree.directories]
    return reading.hashed


class _Reading:
    def __init__(self, root: bytes, objects: Objects, cache: StatCache, held: set[str]) -> None:
        self._root = root
        self._objects = objects
        self._cache = cache
        self._held = held
        self.moment: Moment | None = None
        self.settled: list[tuple[str, os.stat_result, Known]] = []
        self.hashed = Hashed()

    def take(self, file: SourceFile) -> None:
        """Describe one file, reading it if need be."""
        path, status = file
        known = self._cache.known(path, status)
        if known is not None and known.digest in self._held:
            self.settled.append((path, status, known))
        else:
            known, status = self._read(path)
        entry = file_entry(path, status.st_mode, status.st_size, known.digest)
        self.hashed.entries.append(entry)
        if known.platforms and may_be_native(path, entry.mode):
            self.hashed.platforms[path] = known.platforms

    def worth_saving(self) -> bool:
        """Whether the cache would be another one than before."""
        return self.hashed.read_files > 0 or len(self.settled) != len(self._cache.entries)

    def _read(self, path: str) -> tuple[Known, os.stat_result]:
        content = self._objects.add_file(path, self._root + b"/" + path.encode())
        self._held.add(content.digest)
        self.hashed.read_files += 1
        self.hashed.read_bytes += content.size
        known = Known(content.digest, "+".join(platforms_of_header(content.header)))
        if statcache.settled(content.status, self.moment):
            self.settled.append((path, content.status, known))
        return known, content.status
