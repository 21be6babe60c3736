"""Where the content of a deployment comes from: packed from source, kept here, or held by a node."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mikoshi.core.errors import ContentMissing, ReleaseUnknown
from mikoshi.core.events import Event, Note, Packed
from mikoshi.core.release import Manifest
from mikoshi.engine.content import Content, content_from_nodes
from mikoshi.engine.fleet import Fleet
from mikoshi.packing.library import Library
from mikoshi.packing.pack import Packed as PackedRelease
from mikoshi.packing.reader import ReleaseReader
from mikoshi.ports.clock import Clock


@dataclass(frozen=True)
class Available:
    """A deployment's content, and which of its files are native code (path → platform), for messages."""

    content: Content
    native: dict[str, str]

    def foreign_files(self, platform: str) -> list[str]:
        """The paths of files built for `platform`, all native ones if none names it."""
        exact = [path for path, own in self.native.items() if platform in own.split("+")]
        return sorted(exact or self.native)


async def packed(make: Callable[[], PackedRelease], clock: Clock, emit: Callable[[Event], None]) -> Available:
    """Pack in a thread, and tell what came of it. Raises a PackingError or SourceDirty."""
    begun = clock.monotonic()
    made = await asyncio.to_thread(make)
    record = made.record
    for note in made.notes:
        emit(Note(note))
    emit(
        Packed(
            release=made.release,
            files=record.files,
            size=record.size,
            hashed=made.hashed_files,
            commit=record.commit,
            dirty=record.dirty,
            seconds=clock.monotonic() - begun,
        )
    )
    content = Content(made.release, made.manifest, made.index, made.reader, record.commit)
    return Available(content, dict(made.native))


def kept(library: Library, release: str, commit: str = "") -> Available:
    """A release that is kept here completely. Raises ReleaseUnknown or ContentMissing."""
    manifest = library.manifest(release)
    missing = library.missing(manifest)
    if missing:
        raise ContentMissing(release, missing)
    reader = ReleaseReader(library, release, manifest)
    return Available(Content(release, manifest, library.index_of(manifest), reader, commit), {})


async def kept_somewhere(
    library: Library, fleet: Fleet, release: str, files: contextlib.ExitStack, scratch: Path
) -> Available:
    """A release that is kept here, else on a node. Raises ContentMissing."""
    try:
        return await asyncio.to_thread(kept, library, release)
    except (ReleaseUnknown, ContentMissing):
        return Available(await content_from_nodes(fleet, release, files, scratch), {})


def base_manifest(library: Library) -> Callable[[str], Manifest | None]:
    """How to find the manifest of a release that a node holds: only those kept here can be a base.

    Each is read once: most nodes of a fleet hold the same.
    """
    found: dict[str, Manifest] = {}

    def find(release: str) -> Manifest | None:
        if not release:
            return None
        try:
            if release not in found:
                found[release] = library.manifest(release)
        except ReleaseUnknown:
            return None
        return found[release]

    return find
