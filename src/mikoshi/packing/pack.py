"""From a source to a release that is kept and can be sent: collect, hash, build, describe, cut, keep.

The same packed tree gives the same id on any machine: nothing of who, when and where takes part in it. Blocking: an
engine calls it in a thread, and sets `stop` to end it early.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from mikoshi.config.model import ReleaseConfig
from mikoshi.core.errors import Interrupted, RefUnknown, SourceDirty
from mikoshi.core.release import Manifest, encode, manifest, release_id
from mikoshi.core.transfer import TransferIndex
from mikoshi.packing import git, statcache
from mikoshi.packing.build import Build
from mikoshi.packing.buildcache import BuildCache
from mikoshi.packing.builder import Builder, LocalBuilder
from mikoshi.packing.collect import SourceTree, collect
from mikoshi.packing.hashing import Counted, hash_tree
from mikoshi.packing.kept import KeptRelease
from mikoshi.packing.library import Library
from mikoshi.packing.platform import release_platform
from mikoshi.packing.progress import FilesRead, Listener, nobody
from mikoshi.packing.reader import ReleaseReader

_NAMED = 5


@dataclass(frozen=True)
class Source:
    """What to pack: the work tree of `directory`, or what git's `ref` has there ("" for the work tree).

    `clean`: a work tree with uncommitted changes is refused.
    """

    directory: Path
    ref: str = ""
    clean: bool = False


@dataclass(frozen=True)
class Occasion:
    """Who packs, when (seconds since 1970, UTC), for which app and environment, and why."""

    app: str
    environment: str
    by: str
    at: float
    message: str = ""


@dataclass(frozen=True)
class Packed:
    """A release that is kept. Sizes in bytes; `hashed_*` count what had to be read, the rest was known.

    `native` maps paths of native code to their platforms ("a+b"), for a message that names them.
    """

    release: str
    manifest: Manifest
    index: TransferIndex
    record: KeptRelease
    reader: ReleaseReader
    native: dict[str, str]
    notes: tuple[str, ...]
    hashed_files: int
    hashed_bytes: int


def pack(
    source: Source,
    config: ReleaseConfig,
    shared: Sequence[str],
    occasion: Occasion,
    library: Library,
    cache: Path,
    listener: Listener = nobody,
    builder: Builder | None = None,
    stop: Event | None = None,
) -> Packed:
    """Make a release of `source` and keep it in `library`; `cache` is the directory for what can be made again.

    `builder` runs the build steps, this machine if none is given; setting `stop` ends the work early.

    Raises a PackingError, RefUnknown, SourceDirty, DiskFull or Interrupted.
    """
    stop = stop or Event()
    with library.in_use(), _opened(source, cache) as opened:
        tree = collect(opened.directory, config.exclude, shared)
        hashed = hash_tree(
            opened.directory,
            tree,
            library.objects,
            opened.cache_file,
            _counting(listener, stop),
        )
        if config.build:
            hashed = _builder(source, library, cache, listener, occasion, builder, stop).run(config.build, hashed)
        release = manifest(release_platform(_each(hashed.platforms)), hashed.entries)
        encoded = encode(release)
        record = _record(release, release_id(encoded), opened, occasion)
        index = library.index_of(release)
        return Packed(
            release=record.id,
            manifest=release,
            index=index,
            record=library.keep(encoded, record),
            # A checked out ref is gone by the time its chunks are read; a work tree is not.
            reader=ReleaseReader(library, record.id, release, None if source.ref else source.directory),
            native=hashed.platforms,
            notes=opened.notes_on(tree),
            hashed_files=hashed.read_files,
            hashed_bytes=hashed.read_bytes,
        )


@dataclass(frozen=True)
class _Opened:
    """A source ready to be walked: its directory, and what git says of it.

    `ignored` are files that git tracks although its ignore files name them.
    """

    directory: Path
    cache_file: Path | None
    commit: str
    dirty: bool
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def notes_on(self, tree: SourceTree) -> tuple[str, ...]:
        """What a person should know of this source, packed as `tree`."""
        packed = {file.path for file in tree.files} | {path for path, _ in tree.links} if self.ignored else set()
        missing = [path for path in self.ignored if path not in packed]
        if not missing:
            return (*self.notes, *tree.notes)
        shown = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
        note = f"left out although git tracks it, because an ignore file names it: {shown}"
        return (*self.notes, *tree.notes, note)


@contextlib.contextmanager
def _opened(source: Source, cache: Path) -> Iterator[_Opened]:
    if source.ref:
        commit = git.commit_of(source.directory, source.ref)
        with git.checked_out(source.directory, source.ref, commit, cache) as directory:
            yield _Opened(directory, None, commit, dirty=False)
        return
    cache_file, notes = statcache.cache_file(cache, source.directory), list[str]()
    commit, changed, ignored = "", list[str](), list[str]()
    try:
        commit = git.head(source.directory)
        if commit:
            changed = git.uncommitted(source.directory)
            ignored = git.tracked_but_ignored(source.directory)
    except git.GitFailed as error:
        if source.clean:
            raise RefUnknown("HEAD", str(error)) from error
        notes.append(f"git could not say which commit this is: {error}")
    if source.clean and not commit:
        raise RefUnknown("HEAD", "there is no commit here, and only commits may be deployed")
    if source.clean and changed:
        raise SourceDirty(changed)
    yield _Opened(source.directory, cache_file, commit, bool(changed), tuple(ignored), tuple(notes))


def _counting(listener: Listener, stop: Event) -> Counted:
    def counted(done: int, total: int) -> None:
        if stop.is_set():
            raise Interrupted("files were being read")
        listener(FilesRead(done, total))

    return counted


def _builder(
    source: Source,
    library: Library,
    cache: Path,
    listener: Listener,
    occasion: Occasion,
    builder: Builder | None,
    stop: Event,
) -> Build:
    return Build(
        builder or local_builder(source, library, cache, stop),
        BuildCache(cache / "outputs", library.objects),
        {"MIKOSHI_APP": occasion.app, "MIKOSHI_ENV": occasion.environment},
        listener,
    )


def local_builder(source: Source, library: Library, cache: Path, stop: Event) -> LocalBuilder:
    """This machine as a builder for `source`."""
    return LocalBuilder(library.objects, cache / "build" / statcache.source_key(source.directory), stop)


def _record(release: Manifest, release_id: str, opened: _Opened, occasion: Occasion) -> KeptRelease:
    return KeptRelease(
        id=release_id,
        app=occasion.app,
        by=occasion.by,
        at=occasion.at,
        used=occasion.at,
        size=release.size(),
        files=sum(1 for _ in release.files()),
        platform=release.platform,
        commit=opened.commit,
        dirty=opened.dirty,
        message=occasion.message,
    )


def _each(platforms: Mapping[str, str]) -> Iterator[str]:
    return (name for joined in platforms.values() for name in joined.split("+"))
