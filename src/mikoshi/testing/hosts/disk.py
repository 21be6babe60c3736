"""A host's disk: what the host changed of the machine's file system. It outlives the host's power cut.

On tmpfs a power cut loses nothing that was written, synced or not: what a real disk loses is not shown here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mikoshi.testing.hosts.namespaces import FleetNamespaces


class Disk:
    """A directory with an overlay's `upper` and `work` and the mount point `root`; with a size, a tmpfs."""

    def __init__(self, namespaces: FleetNamespaces, directory: Path, size: str | None, inodes: int | None) -> None:
        """Make the disk. Raises HostError if it cannot be mounted, ValueError for `inodes` without `size`."""
        if size is None and inodes is not None:
            raise ValueError("inodes can be limited only on a disk that has a size")
        self.directory = directory
        self._namespaces = namespaces
        self._outside = namespaces.outside_path(directory)
        self._mounted = size is not None
        directory.mkdir(parents=True)
        if size is not None:
            limits = f"size={size}" + ("" if inodes is None else f",nr_inodes={inodes}")
            namespaces.run(["mount", "-t", "tmpfs", "-o", f"mode=0755,{limits}", "tmpfs", str(directory)])
        self._made = os.statvfs(self._outside)
        for name in ("upper", "work", "root"):
            (self._outside / name).mkdir()
            (self._outside / name).chmod(0o755)

    @property
    def upper(self) -> Path:
        """Where the host's own files are, seen from here. Change them only while the host is off."""
        return self._outside / "upper"

    def leave_free(self, *, size: int | None = None, inodes: int | None = None) -> None:
        """Shrink the disk until only `size` bytes and `inodes` files more fit; None: as `restore` does.

        A host whose disk is full boots with a read-only file system: `restore` before a restart.
        """
        self._require_mount()
        now = os.statvfs(self._outside)
        used_size = (now.f_blocks - now.f_bfree) * now.f_frsize
        self._resize(
            self._made.f_blocks * self._made.f_frsize if size is None else used_size + size,
            self._made.f_files if inodes is None else now.f_files - now.f_ffree + inodes,
        )

    def restore(self) -> None:
        """Give the disk back the size it was made with."""
        self._require_mount()
        self._resize(self._made.f_blocks * self._made.f_frsize, self._made.f_files)

    def remove(self) -> None:
        """Throw the disk away; the host must be off."""
        if self._mounted:
            self._namespaces.run(["umount", "--lazy", str(self.directory)])
        shutil.rmtree(self.directory)

    def _resize(self, size: int, inodes: int) -> None:
        options = f"remount,size={size},nr_inodes={inodes}"
        self._namespaces.run(["mount", "-o", options, str(self.directory)])

    def _require_mount(self) -> None:
        if not self._mounted:
            raise ValueError("only a disk that has a size can be filled")
