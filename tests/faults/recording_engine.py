"""An engine that writes down every change it makes to the file system: python -m tests.faults.recording_engine FILE."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mikoshi.node.files import Files, OpenFile
from mikoshi.node.main import main


class RecordingFiles(Files):
    """Does what Files does, and writes each operation to a file as a line of JSON. Contents are hexadecimal."""

    def __init__(self, log: str) -> None:
        self._log = Path(log).open("a", encoding="utf-8")  # noqa: SIM115 - open for the life of the process

    def _note(self, *operation: object) -> None:
        self._log.write(json.dumps(operation) + "\n")
        self._log.flush()

    def create(self, path: str, mode: int = 0o644) -> OpenFile:
        """Create."""
        file = super().create(path, mode)
        self._note("create", path, mode)
        return file

    def write(self, file: OpenFile, data: bytes, offset: int) -> None:
        """Write."""
        super().write(file, data, offset)
        self._note("write", file.path, data.hex(), offset)

    def truncate(self, file: OpenFile, size: int) -> None:
        """Truncate."""
        super().truncate(file, size)
        self._note("truncate", file.path, size)

    def clone(self, file: OpenFile, source_fd: int) -> bool:
        """Never here: a shared block is recorded by no operation."""
        return False

    def sync(self, file: OpenFile) -> None:
        """Sync."""
        super().sync(file)
        self._note("sync", file.path)

    def sync_path(self, path: str) -> None:
        """Sync a path."""
        super().sync_path(path)
        self._note("sync", path)

    def sync_file_system(self, path: str) -> bool:
        """Sync everything."""
        done = super().sync_file_system(path)
        if done:
            self._note("sync_all")
        return done

    def append(self, path: str, data: bytes) -> None:
        """Append and sync."""
        if not os.path.exists(path):
            self._note("create", path, 0o644)
        self._note("append", path, data.hex())
        super().append(path, data)

    def rename(self, source: str, target: str) -> None:
        """Rename."""
        super().rename(source, target)
        self._note("rename", source, target)

    def link(self, source: str, target: str) -> None:
        """Link."""
        super().link(source, target)
        self._note("link", source, target)

    def symlink(self, text: str, path: str) -> None:
        """Make a symbolic link."""
        super().symlink(text, path)
        self._note("symlink", text, path)

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """Make a directory."""
        super().mkdir(path, mode)
        self._note("mkdir", path, mode)

    def unlink(self, path: str) -> None:
        """Unlink."""
        super().unlink(path)
        self._note("unlink", path)

    def rmdir(self, path: str) -> None:
        """Remove a directory."""
        super().rmdir(path)
        self._note("unlink", path)

    def remove_foreign_tree(self, path: str) -> None:
        """Remove a directory with all that is in it; to the disk that is one name less."""
        super().remove_foreign_tree(path)
        self._note("unlink", path)

    def chmod(self, path: str, mode: int) -> None:
        """Set the mode."""
        super().chmod(path, mode)
        self._note("chmod", path, mode)


if __name__ == "__main__":
    main(RecordingFiles(sys.argv[1]))
