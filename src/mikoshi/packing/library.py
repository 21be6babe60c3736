"""The releases kept on the deployer's machine: content by digest, manifests, transfer indexes, and who made them when.

    objects/ab/cdef…   file contents        chunks/DIGEST       how a large file is cut
    manifests/ID       encoded manifests    releases/APP/ID     who, when, from which commit (JSON)

A release counts as kept once its record stands; everything the record needs was written before. Whoever adds or reads
holds the library in use (`in_use`); pruning waits for nobody: it is left out while another process is at work.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from mikoshi.core import release as releases
from mikoshi.core import transfer
from mikoshi.core.errors import ContentMissing, ReleaseUnknown
from mikoshi.core.release import Manifest
from mikoshi.core.transfer import Chunk, Place, TransferIndex
from mikoshi.packing.chunk import cut, needs_cutting
from mikoshi.packing.kept import KeptRelease, from_json, merged, to_json
from mikoshi.packing.objects import ObjectDamaged, Objects

KEEP = 20


class Library:
    """The releases below one directory, which is made when something is kept."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.objects = Objects(root / "objects")

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the library in use: nothing is pruned meanwhile, by no process."""
        with self._lock_file() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    # ── keeping ────────────────────────────────────────────────────────────────────────────────────────────────

    def index_of(self, release: Manifest) -> TransferIndex:
        """The release's transfer index. Files are cut once and remembered. Raises ContentMissing."""
        files = {}
        for entry in release.files():
            if needs_cutting(entry.size) and entry.digest not in files:
                files[entry.digest] = self._chunks(entry.digest, entry.size, entry.path)
        return TransferIndex(files)

    def keep(self, encoded: bytes, record: KeptRelease) -> KeptRelease:
        """Keep the release with the encoded manifest, whose contents are all here.

        Returns the record as it stands now: of a release that was kept already it says who made it first.
        """
        manifest_file = self.root / "manifests" / record.id
        if not manifest_file.exists():
            _write(manifest_file, encoded)
        before = self._record(record.app, record.id)
        record = merged(before, record) if before else record
        _write(self._record_file(record.app, record.id), json.dumps(to_json(record)).encode())
        return record

    # ── reading ────────────────────────────────────────────────────────────────────────────────────────────────

    def releases(self, app: str) -> list[KeptRelease]:
        """The app's kept releases, the most recently used first."""
        directory = self.root / "releases" / app
        names = _names(directory)
        kept = [record for name in names if (record := self._record(app, name))]
        return sorted(kept, key=lambda record: (record.used, record.id), reverse=True)

    def find(self, app: str, prefix: str) -> str:
        """The id of the app's one kept release that begins with `prefix`. Raises ReleaseUnknown."""
        matches = [record.id for record in self.releases(app) if record.id.startswith(prefix.lower())]
        if len(matches) != 1 or not prefix:
            raise ReleaseUnknown(prefix, matches)
        return matches[0]

    def manifest(self, release: str) -> Manifest:
        """A kept release's manifest. Raises ReleaseUnknown if there is none or it is damaged (it is removed then)."""
        file = self.root / "manifests" / release
        try:
            encoded = file.read_bytes()
        except FileNotFoundError:
            raise ReleaseUnknown(release, []) from None
        if releases.release_id(encoded) != release:
            file.unlink(missing_ok=True)
            raise ReleaseUnknown(release, [])
        return releases.decode_known(encoded)

    def missing(self, release: Manifest) -> list[str]:
        """The paths of files whose content is not here."""
        held = self.objects.digests()
        return [entry.path for entry in release.files() if entry.digest not in held]

    def read(self, place: Place) -> bytes:
        """A chunk's content, verified. Raises ContentMissing if it is not here or was damaged (it is removed then)."""
        try:
            return self.objects.read(place.file, place.offset, place.chunk.size, place.chunk.digest)
        except ObjectDamaged as error:
            raise ContentMissing("", [place.file]) from error

    # ── pruning ────────────────────────────────────────────────────────────────────────────────────────────────

    def prune(self, app: str, keep: int = KEEP, protect: Collection[str] = ()) -> list[str]:
        """Drop the app's releases beyond the `keep` most recently used, and content that no release needs any more.

        `protect` are ids that stay. Returns the ids dropped; none if another process has the library in use.
        """
        with self._lock_file() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return []
            dropped = [record.id for record in self.releases(app)[keep:] if record.id not in protect]
            for release in dropped:
                self._record_file(app, release).unlink(missing_ok=True)
            if dropped:
                self._collect_garbage()
            return dropped

    def _collect_garbage(self) -> None:
        """Remove manifests without a record, objects without a manifest, and what nobody finished. Lock held."""
        recorded = {name for app in _names(self.root / "releases") for name in _names(self.root / "releases" / app)}
        needed = set[str]()
        _remove_others(self.root / "manifests", recorded)
        for name in _names(self.root / "manifests"):
            with contextlib.suppress(ReleaseUnknown):  # damaged: its contents go with it
                needed.update(entry.digest for entry in self.manifest(name).files())
        self.objects.remove(self.objects.digests() - needed)
        self.objects.sweep()
        _remove_others(self.root / "chunks", needed)

    # ── files ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _chunks(self, digest: str, size: int, path: str) -> tuple[Chunk, ...]:
        file = self.root / "chunks" / digest
        with contextlib.suppress(FileNotFoundError, transfer.MalformedIndex):
            parts = transfer.decode(file.read_bytes()).files.get(digest, ())
            if sum(part.size for part in parts) == size:
                return parts
        try:
            with self.objects.path(digest).open("rb", buffering=0) as stream:
                got, parts = cut(stream)
        except FileNotFoundError:
            raise ContentMissing("", [path]) from None
        if got != digest:
            self.objects.remove([digest])
            raise ContentMissing("", [path])
        _write(file, transfer.encode(TransferIndex({digest: parts})))
        return parts

    def _record_file(self, app: str, release: str) -> Path:
        return self.root / "releases" / app / release

    def _record(self, app: str, release: str) -> KeptRelease | None:
        try:
            return from_json(json.loads(self._record_file(app, release).read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):  # absent, or cut short by a loss of power: not kept
            return None

    @contextlib.contextmanager
    def _lock_file(self) -> Iterator[int]:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _names(directory: Path) -> list[str]:
    """The names in a directory, sorted, without files that are still being written."""
    if not directory.is_dir():
        return []
    return sorted(file.name for file in directory.iterdir() if not file.name.startswith("."))


def _remove_others(directory: Path, needed: Collection[str]) -> None:
    for file in list(directory.iterdir()) if directory.is_dir() else []:
        if file.name not in needed:
            file.unlink()


def _write(file: Path, content: bytes) -> None:
    """Replace a small file: a reader sees all of the old one or all of the new one, also after a loss of power."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as new:
            new.write(content)
            new.flush()
            os.fsync(new.fileno())
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
