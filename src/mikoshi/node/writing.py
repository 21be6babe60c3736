"""Puts files, links and directories into a tree that is being staged, always whole: prepared beside, then renamed.

A hard link is whole from the start and is made in place where nothing stands.

A path of the tree is written only after every directory above it was seen to be a real one, so that a link somebody
planted never leads a write out of the tree.
"""

from __future__ import annotations

import os
import stat

from mikoshi.node.files import Files, OpenFile
from mikoshi.node.fingerprints import Fingerprints
from mikoshi.node.layout import Layout
from mikoshi.node.sources import Source

_BLOCK = 1 << 20
_WRITABLE = 0o755


class TreeWriter:
    """Writes into one tree. Remembers what has to be synced: new inodes and changed directories."""

    def __init__(self, tree: str, files: Files, fingerprints: Fingerprints) -> None:
        self._tree, self._files, self._fingerprints = tree, files, fingerprints
        self._clones = True
        self.new_files: list[str] = []
        self.changed_directories: set[str] = set()

    def path(self, name: str) -> str:
        """Where an entry of the tree stands."""
        return f"{self._tree}/{name}" if name else self._tree

    def make_directories(self, layout: Layout) -> None:
        """Every directory of the layout, real and writable; whatever else stands there is removed."""
        for name in ("", *layout.parents_first()):
            path = self.path(name)
            try:
                status = os.lstat(path)
            except FileNotFoundError:
                self._files.mkdir(path, _WRITABLE)
                self._changed(path)
                continue
            if not stat.S_ISDIR(status.st_mode):
                self._files.unlink(path)
                self._files.mkdir(path, _WRITABLE)
                self._changed(path)
            elif stat.S_IMODE(status.st_mode) != _WRITABLE:
                self._files.chmod(path, _WRITABLE)

    def remove(self, name: str) -> None:
        """Remove whatever stands at `name`, if anything does."""
        path = self.path(name)
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        if stat.S_ISDIR(status.st_mode):
            self._files.remove_tree(path)
        else:
            self._files.unlink(path)
        self._changed(path)

    def put_link(self, name: str, text: str) -> None:
        """A symbolic link."""
        path = self.path(name)
        temporary = self._files.temporary(path)
        self._files.discard(temporary)
        self._files.symlink(text, temporary)
        self._files.rename(temporary, path)
        self._changed(path)

    def put_source(self, name: str, source: Source, mode: int) -> None:
        """A file with the source's content: shared blocks, a hard link, or a copy where mode or owner differ."""
        path = self.path(name)
        if self._clones and self._clone(path, source, mode):
            return
        self._clones = False
        if source.mode == mode and source.own and self._link(path, source):
            return
        self._copy(path, source, mode)

    def put_linked(self, name: str, good: str) -> None:
        """One more name in the tree for the file `good`."""
        self._place_link(good, self.path(name))

    def put_new(self, name: str, temporary: str, mode: int) -> None:
        """Move a finished file into the tree."""
        path = self.path(name)
        self._files.chmod(temporary, mode)
        self._files.rename(temporary, path)
        self.new_files.append(path)
        self._changed(path)

    def put_copy(self, name: str, good: str, mode: int) -> None:
        """A copy of the file `good` with another mode."""
        self._copy(self.path(name), Source(good, -1, os.lstat(good)), mode)

    def _changed(self, path: str) -> None:
        self.changed_directories.add(path.rpartition("/")[0])

    def _clone(self, path: str, source: Source, mode: int) -> bool:
        temporary = self._files.temporary(path)
        self._files.discard(temporary)
        fd = os.open(source.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            file = self._files.create(temporary, mode)
            try:
                cloned = self._files.clone(file, fd)
            finally:
                self._files.close(file)
        finally:
            os.close(fd)
        if not cloned:
            self._files.unlink(temporary)
            return False
        self.put_new(os.path.relpath(path, self._tree), temporary, mode)
        return True

    def _link(self, path: str, source: Source) -> bool:
        try:
            self._place_link(source.path, path)
        except PermissionError:
            return False
        except OSError as error:
            import errno

            if error.errno == errno.EMLINK:
                return False
            raise
        return True

    def _place_link(self, good: str, path: str) -> None:
        before = os.lstat(good)
        try:
            self._files.link(good, path)
        except FileExistsError:
            self._replace_by_link(good, path)
        self._fingerprints.linked(before, os.lstat(path))
        self._changed(path)

    def _replace_by_link(self, good: str, path: str) -> None:
        temporary = self._files.temporary(path)
        self._files.discard(temporary)
        self._files.link(good, temporary)
        self._files.rename(temporary, path)
        self._files.discard(temporary)  # a rename onto the same inode does nothing

    def _copy(self, path: str, source: Source, mode: int) -> None:
        temporary = self._files.temporary(path)
        self._files.discard(temporary)
        fd = os.open(source.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            file = self._files.create(temporary, mode)
            try:
                self._pour(fd, file)
            finally:
                self._files.close(file)
        finally:
            os.close(fd)
        self.put_new(os.path.relpath(path, self._tree), temporary, mode)

    def _pour(self, fd: int, file: OpenFile) -> None:
        offset = 0
        while True:
            block = os.pread(fd, _BLOCK, offset)
            if not block:
                return
            self._files.write(file, block, offset)
            offset += len(block)
