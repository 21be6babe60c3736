"""Staging: from a manifest and what the node holds to a complete, verified, durable tree that nothing runs yet.

The order is the crash safety: look, check space, write intent, write content, sync all of it, and only then rename
intent to record. A directory without a record is a partial one and is gone on with, whatever a crash left of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mikoshi.core.deployment import Deployment, Settings
from mikoshi.core.errors import ForeignPlatform, MikoshiError, NotStaged, PathUnusable, SharedMissing
from mikoshi.core.messages import StepStarted
from mikoshi.core.platforms import runs_on
from mikoshi.core.release import Entry, Manifest
from mikoshi.core.transfer import TransferIndex, bitmap
from mikoshi.node import machine, space
from mikoshi.node.arrivals import Arrivals
from mikoshi.node.deployments import encode_record
from mikoshi.node.environment import environment_of
from mikoshi.node.layout import DIRECTORY_MODE, by_content, by_mode, layout_of, plain_shared
from mikoshi.node.repair import note_damage, repair
from mikoshi.node.sources import Source, Sources
from mikoshi.node.steps import Step, StepBegun, StepEnded, TreeFoundEdited, TreeRepaired
from mikoshi.node.verify import CHANGED, UNLISTED, Difference, differences, edited
from mikoshi.node.workspace import Workspace
from mikoshi.node.writing import TreeWriter

_SYNC_EACH = 64


@dataclass(frozen=True)
class Order:
    """What is to be staged, decoded and checked. The encoded forms are what is written down."""

    deployment: Deployment
    settings: Settings
    manifest: Manifest
    index: TransferIndex
    encoded_manifest: bytes
    encoded_index: bytes
    values: Mapping[str, Any]


class Staging:
    """The staging of one deployment in one session: `begin`, then chunks, then `end`."""

    def __init__(self, work: Workspace, order: Order) -> None:
        self._work, self._order = work, order
        self._seq = order.deployment.seq
        self._paths = work.deployments.paths(self._seq)
        self._layout = layout_of(order.manifest, order.settings.shared)
        self._writer = TreeWriter(self._paths.tree, work.files, work.fingerprints)
        self._sources = Sources(work.deployments, self._seq, work.fingerprints)
        self._arrivals = Arrivals(self._paths.partial, work.files, self._writer)
        self._failure: MikoshiError | None = None
        self.complete = False

    @property
    def seq(self) -> int:
        """The deployment's number."""
        return self._seq

    # ── begin ──────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> tuple[dict[str, Any], bytes]:
        """Do everything that needs no content from the deployer. The reply's fields and its bitmap.

        Raises ForeignPlatform, SharedMissing, DiskFull, InodesExhausted before anything was written.
        """
        self._check_platform()
        self._check_shared()
        found = differences(self._layout, self._paths.tree, self._work.fingerprints)
        recorded = self._recorded()
        if recorded and not found:
            self.complete = True
            self._remove_partial()
            self._repair()
            return {"missing_bytes": 0, "staged": True}, b""
        environment = environment_of(
            self._work, self._seq, self._order.settings, self._order.values, self._order.deployment
        )
        held, missing = self._search(found)
        self._require_space(held, missing)
        if self._sources.damaged:
            note_damage(self._work, self._seq, self._sources.damaged)
        if recorded:
            self._unrecord(found)
        self._work.journal.add(StepBegun(self._seq, Step.STAGE))
        self._work.emit(StepStarted(Step.STAGE.value))
        self._write_intent(environment)
        self._write_tree(found, held, missing)
        numbers, size, count = self._arrivals.missing()
        return {"missing_bytes": size, "staged": False}, bitmap(numbers, count)

    def _check_platform(self) -> None:
        wanted, own = self._order.manifest.platform, machine.platform()
        if not runs_on(wanted, own):
            raise ForeignPlatform([], wanted, own)

    def _check_shared(self) -> None:
        for path in self._order.settings.shared:
            if not path.endswith("/") and not os.path.exists(self._shared(path)):
                raise SharedMissing(self._shared(path))

    def _shared(self, path: str) -> str:
        return os.path.join(self._work.paths.shared, plain_shared(path))

    def _recorded(self) -> bool:
        stored = self._work.deployments.load(self._seq)
        if stored is None or not stored.staged:
            return False
        self._work.deployments.forget(self._seq)
        try:
            self._work.deployments.manifest(self._seq)
        except NotStaged:
            return False
        return stored.deployment.same_content(self._order.deployment)

    def _unrecord(self, found: list[Difference]) -> None:
        paths = tuple(edited(found, self._seq).paths)
        self._work.journal.add(TreeFoundEdited(self._seq, paths))
        self._work.files.rename(self._paths.record, self._paths.intent)
        self._work.files.sync_path(self._paths.root)

    # ── what is held ───────────────────────────────────────────────────────────────────────────────────────────

    def _search(self, found: list[Difference]) -> tuple[dict[str, list[tuple[Entry, Source]]], dict[str, list[Entry]]]:
        """The wanted files that a source on this node has, with it, and those that must be sent; by content."""
        wrong = {difference.path for difference in found}
        wanted = by_content(entry for path, entry in self._layout.files.items() if path in wrong)
        standing = by_content(entry for path, entry in self._layout.files.items() if path not in wrong)
        held: dict[str, list[tuple[Entry, Source]]] = {}
        missing: dict[str, list[Entry]] = {}
        for digest, entries in wanted.items():
            for mode, same in by_mode(entries):
                source = self._own_source(standing.get(digest, ()), mode) or self._sources.find(digest, mode)
                if source is None:
                    missing[digest] = entries
                    held.pop(digest, None)
                    break
                held.setdefault(digest, []).extend((entry, source) for entry in same)
        return held, missing

    def _own_source(self, entries: Sequence[Entry], mode: int) -> Source | None:
        for found_mode, same in by_mode(entries):
            if found_mode == mode:
                path = self._writer.path(same[0].path)
                return Source(path, mode, os.lstat(path))
        return None

    def _require_space(self, held: dict[str, list[tuple[Entry, Source]]], missing: dict[str, list[Entry]]) -> None:
        copies = [
            entry.size
            for pairs in held.values()
            for entry, source in pairs
            if source.mode != entry.mode & 0o555 or not source.own
        ]
        fresh = [entries[0].size for entries in missing.values() for _ in by_mode(entries)]
        arrived = _allocated(self._paths.partial)
        size = max(0, sum(map(space.rounded, copies + fresh)) - arrived)
        names = len(self._layout.directories) + len(self._layout.links)
        if os.path.isdir(self._paths.tree):
            names = 0
        space.require(self._work.paths.root, size, len(copies) + len(fresh) + names)

    # ── writing ────────────────────────────────────────────────────────────────────────────────────────────────

    def _write_intent(self, environment: bytes) -> None:
        work, paths, order = self._work, self._paths, self._order
        work.files.make_directories(paths.root)
        record = encode_record(order.deployment.to_json(), order.settings.to_json())
        work.files.discard(paths.record)
        work.files.replace(paths.intent, record)
        work.files.replace(paths.manifest, order.encoded_manifest)
        work.files.replace(paths.index, order.encoded_index)
        owner = work.identity.commands.uid if work.identity.changes_user else None
        work.files.replace(paths.env, environment, mode=0o400, owner=owner)
        self._make_own(work.paths.bytecode(self._seq))
        work.deployments.forget(self._seq)

    def _write_tree(
        self, found: list[Difference], held: dict[str, list[tuple[Entry, Source]]], missing: dict[str, list[Entry]]
    ) -> None:
        self._make_shared()
        for difference in found:
            if difference.how == UNLISTED or (difference.how == CHANGED and self._is_wrong_kind(difference.path)):
                self._writer.remove(difference.path)
        self._writer.make_directories(self._layout)
        wrong = {difference.path for difference in found}
        for path, text in self._layout.links.items():
            if path in wrong:
                self._writer.put_link(path, text)
        for pairs in held.values():
            for entry, source in pairs:
                self._writer.put_source(entry.path, source, entry.mode & 0o555)
        self._arrivals.expect(self._order.manifest, self._order.index, missing)
        self._arrivals.prepare(self._sources)

    def _is_wrong_kind(self, path: str) -> bool:
        """Whether a directory stands where a file or link belongs: a rename cannot replace it."""
        standing = self._writer.path(path)
        return os.path.isdir(standing) and not os.path.islink(standing) and path not in self._layout.directories

    def _make_shared(self) -> None:
        for path in self._order.settings.shared:
            place = self._shared(path)
            if not path.endswith("/") or os.path.isdir(place):
                continue
            self._require_no_links(plain_shared(path))
            self._make_own(place)

    def _make_own(self, directory: str) -> None:
        """A directory that the application may write to."""
        files, user = self._work.files, self._work.identity.commands
        files.make_directories(directory)
        if self._work.identity.changes_user:
            files.give_directory(directory, user.uid, user.gid)

    def _require_no_links(self, path: str) -> None:
        """Raise PathUnusable if a link stands on the way to a shared directory that is to be made.

        The application may write below what is shared already; root must not be led elsewhere by what it left there.
        """
        above = ""
        for part in path.split("/"):
            above = os.path.join(above, part)
            if os.path.islink(self._shared(above)):
                raise PathUnusable(self._shared(above), "a link stands where a shared directory is to be made")

    # ── content ────────────────────────────────────────────────────────────────────────────────────────────────

    def accept(self, batch: list[tuple[int, bytes]]) -> None:
        """Chunks from the deployer. The first failure is kept for `end`; what follows it is dropped."""
        if self._failure is not None or self.complete:
            return
        try:
            self._work.leases.check()
            for number, data in batch:
                self._arrivals.accept(number, data)
        except MikoshiError as error:
            self._failure = error
        except OSError as error:
            self._failure = space.from_system(error, self._work.paths.root, self._arrivals.missing()[1])

    # ── end ────────────────────────────────────────────────────────────────────────────────────────────────────

    def end(self) -> dict[str, Any]:
        """Verify, sync, record. The reply's fields. Raises what went wrong with the content, and TreeEdited."""
        noticed = {str(seq): list(paths) for seq, paths in self._work.journal.state.edited.items()}
        if not self.complete:
            try:
                self._end()
            except MikoshiError as error:
                self._work.journal.add(StepEnded(self._seq, Step.STAGE, machine.boot_id(), type(error).__name__))
                raise
        received = self._arrivals.received
        return {"reused": max(0, self._order.manifest.size() - received), "received": received, "edited": noticed}

    def _end(self) -> None:
        if self._failure is not None:
            raise self._failure
        work = self._work
        work.check()
        self._arrivals.finish(self._order.deployment.release)
        self._seal()
        found = differences(self._layout, self._paths.tree, work.fingerprints)
        if found:
            raise edited(found, self._seq)
        self._remove_partial()
        work.check()
        work.files.rename(self._paths.intent, self._paths.record)
        work.files.sync_path(self._paths.root)
        work.deployments.remember(self._seq, self._order.manifest)
        self._repair()
        work.journal.add(StepEnded(self._seq, Step.STAGE, machine.boot_id()))
        self.complete = True

    def _remove_partial(self) -> None:
        """What was collected on the way; a loss of power may bring it back after the record stands."""
        if os.path.isdir(self._paths.partial):
            self._work.files.remove_tree(self._paths.partial)

    def _seal(self) -> None:
        """Make the tree read-only and durable."""
        files, writer = self._work.files, self._writer
        for name in [*reversed(self._layout.parents_first()), ""]:
            files.chmod(writer.path(name), DIRECTORY_MODE)
        directories = sorted({*map(writer.path, ("", *self._layout.directories)), self._paths.root})
        many = len(writer.new_files) + len(directories) > _SYNC_EACH
        if many and files.sync_file_system(self._paths.tree):
            return
        for path in (*writer.new_files, *directories):
            files.sync_path(path)

    def _repair(self) -> None:
        """This tree is whole; give what it has to others that were edited."""
        if self._seq in self._work.journal.state.edited:
            self._work.journal.add(TreeRepaired(self._seq))
        repair(self._work, self._seq, self._layout)


def _allocated(directory: str) -> int:
    """The bytes that the files of a directory take on the disk; 0 if it does not exist."""
    try:
        with os.scandir(directory) as found:
            return sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in found)
    except FileNotFoundError:
        return 0
