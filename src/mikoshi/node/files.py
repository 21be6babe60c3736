"""The one object through which every change to the file system goes, so that tests can record, drop or interrupt them.

An operation here does one thing and says nothing about durability unless its name does. Reading needs no such object.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

_FICLONE = 0x40049409
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
TEMPORARY = ".mikoshi-new-"


@dataclass(frozen=True)
class OpenFile:
    """A file open for writing, with the path it was opened under."""

    fd: int
    path: str


class Files:
    """Changes to the file system, one method each. Every error is the system's own OSError."""

    def create(self, path: str, mode: int = 0o644) -> OpenFile:
        """A new file, open for writing; one that exists, link or not, is an error."""
        return OpenFile(os.open(path, _CREATE, mode), path)

    def open(self, path: str) -> OpenFile:
        """An existing file, open for writing; never through a link."""
        return OpenFile(os.open(path, _OPEN), path)

    def write(self, file: OpenFile, data: bytes, offset: int) -> None:
        """All of `data` at `offset`."""
        view = memoryview(data)
        while view:
            count = os.pwrite(file.fd, view, offset)
            view, offset = view[count:], offset + count

    def truncate(self, file: OpenFile, size: int) -> None:
        """Set the file's size."""
        os.ftruncate(file.fd, size)

    def clone(self, file: OpenFile, source_fd: int) -> bool:
        """Share `source_fd`'s blocks with `file`; False where the file system cannot."""
        import fcntl

        try:
            fcntl.ioctl(file.fd, _FICLONE, source_fd)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM):
                return False
            raise
        return True

    def sync(self, file: OpenFile) -> None:
        """Wait until the file's content is on the disk."""
        os.fsync(file.fd)

    def close(self, file: OpenFile) -> None:
        """Close it; nothing is synced."""
        os.close(file.fd)

    def sync_path(self, path: str) -> None:
        """Wait until a file's content, or a directory's entries, are on the disk."""
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_file_system(self, path: str) -> bool:
        """Wait until everything on the file system of `path` is on the disk; False where that cannot be asked for."""
        import ctypes

        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            return False
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if syncfs(fd) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), path)
        finally:
            os.close(fd)
        return True

    def append(self, path: str, data: bytes) -> None:
        """Add `data` to a file, made with mode 0644 if missing, and wait until it is on the disk."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o644)
        try:
            while data:
                data = data[os.write(fd, data) :]
            self.sync(OpenFile(fd, path))
        finally:
            os.close(fd)

    def rename(self, source: str, target: str) -> None:
        """Move within the file system, atomically replacing `target`."""
        os.rename(source, target)

    def link(self, source: str, target: str) -> None:
        """A second name for a file."""
        os.link(source, target, follow_symlinks=False)

    def symlink(self, text: str, path: str) -> None:
        """A symbolic link at `path` with the given text."""
        os.symlink(text, path)

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """A new directory."""
        os.mkdir(path, mode)

    def unlink(self, path: str) -> None:
        """Remove a file or link."""
        os.unlink(path)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        os.rmdir(path)

    def chmod(self, path: str, mode: int) -> None:
        """Set a file's or directory's mode bits; `path` is no link."""
        os.chmod(path, mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Set owner and group of `path` itself."""
        os.chown(path, uid, gid, follow_symlinks=False)

    def give_directory(self, path: str, uid: int, gid: int) -> None:
        """Set owner and group of a directory, and of nothing that somebody put in its place meanwhile."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchown(fd, uid, gid)
        finally:
            os.close(fd)

    def remove_foreign_tree(self, path: str) -> None:
        """Remove a directory that another user may be changing meanwhile; nothing outside it is ever touched."""
        import shutil

        shutil.rmtree(path)

    # ── made of the above ──────────────────────────────────────────────────────────────────────────────────────

    def make_directories(self, path: str, mode: int = 0o755) -> None:
        """`path` and what is missing above it; each new name is synced."""
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path)
        self.make_directories(parent)
        try:
            self.mkdir(path, mode)
        except FileExistsError as error:
            if not os.path.isdir(path):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path) from error
        self.sync_path(parent)

    def replace(self, path: str, data: bytes, mode: int = 0o644, owner: int | None = None) -> None:
        """`path` with new content, atomically and durably; `owner` is a user id."""
        temporary = self.temporary(path)
        self.discard(temporary)
        file = self.create(temporary, mode)
        try:
            self.write(file, data, 0)
            if owner is not None:
                self.chown(temporary, owner, -1)
            self.sync(file)
        finally:
            self.close(file)
        self.rename(temporary, path)
        self.sync_path(os.path.dirname(path))

    def create_durably(self, path: str, data: bytes, mode: int = 0o644) -> bool:
        """A complete new file under `path`, or False if something stands there already."""
        temporary = self.temporary(path)
        self.discard(temporary)
        file = self.create(temporary, mode)
        try:
            self.write(file, data, 0)
            self.sync(file)
        finally:
            self.close(file)
        try:
            self.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            self.unlink(temporary)
        self.sync_path(os.path.dirname(path))
        return True

    def temporary(self, path: str) -> str:
        """Where this process prepares what will stand at `path`: in the same directory, under a name of its own."""
        head, name = os.path.split(path)
        return os.path.join(head, f"{TEMPORARY}{os.getpid()}-{name[:100]}")

    def discard(self, path: str) -> None:
        """Remove a file or link if it is there."""
        try:
            self.unlink(path)
        except FileNotFoundError:
            return

    def remove_tree(self, path: str) -> None:
        """Remove a directory and everything below it, read-only directories included. Links are not followed."""
        self.chmod(path, 0o700)
        with os.scandir(path) as found:
            entries = list(found)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                self.remove_tree(entry.path)
            else:
                self.unlink(entry.path)
        self.rmdir(path)
