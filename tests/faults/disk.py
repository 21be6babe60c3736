"""A disk that loses power: which of the recorded operations are on it is decided by what was synced, and by choice.

The model is a harsh one: content is on the disk once its file was synced, a name once its directory was. Everything
else may be there or not, each by itself; a file whose content was not synced comes back empty, or as it was synced
last. Only the bytes that an append adds may also be torn. Real file systems lose less.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Choice = Callable[[], bool]


@dataclass(eq=False)
class File:
    """A file's content now and as synced."""

    data: bytearray
    mode: int
    synced: bytes = b""


@dataclass(eq=False)
class Link:
    """A symbolic link."""

    text: str


@dataclass(eq=False)
class Directory:
    """A directory's names now and as synced."""

    mode: int
    names: dict[str, Node] = field(default_factory=dict)
    synced: dict[str, Node] = field(default_factory=dict)


Node = File | Link | Directory


class Disk:
    """The tree below one real directory, with a memory of what was synced."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._inodes: dict[int, File] = {}
        self.top = self._load(root)

    def _load(self, path: Path) -> Directory:
        directory = Directory(stat.S_IMODE(path.stat().st_mode))
        for entry in os.scandir(path):
            directory.names[entry.name] = self._load_one(Path(entry.path))
        directory.synced = dict(directory.names)
        return directory

    def _load_one(self, path: Path) -> Node:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            return Link(str(path.readlink()))
        if stat.S_ISDIR(status.st_mode):
            return self._load(path)
        if status.st_ino not in self._inodes:
            data = path.read_bytes()
            self._inodes[status.st_ino] = File(bytearray(data), stat.S_IMODE(status.st_mode), data)
        return self._inodes[status.st_ino]

    def relocate(self, root: Path) -> None:
        """Take operations on paths below another directory."""
        self._root = str(root)

    # ── operations ─────────────────────────────────────────────────────────────────────────────────────────────

    def _directory(self, path: str) -> tuple[Directory, str]:
        relative = os.path.relpath(path, self._root)
        *above, name = relative.split("/")
        directory = self.top
        for part in above:
            found = directory.names[part]
            assert isinstance(found, Directory), path
            directory = found
        return directory, name

    def _node(self, path: str) -> Node:
        if path == self._root:
            return self.top
        directory, name = self._directory(path)
        return directory.names[name]

    def _file(self, path: str) -> File:
        node = self._node(path)
        assert isinstance(node, File), path
        return node

    def _put(self, path: str, node: Node) -> None:
        directory, name = self._directory(path)
        directory.names[name] = node

    def _take(self, path: str) -> Node:
        directory, name = self._directory(path)
        return directory.names.pop(name)

    def apply(self, operation: list[Any]) -> None:
        """Carry out one recorded operation."""
        kind, *rest = operation
        getattr(self, f"_do_{kind}")(*rest)

    def _do_create(self, path: str, mode: int) -> None:
        self._put(path, File(bytearray(), mode))

    def _do_write(self, path: str, data: str, offset: int) -> None:
        file, content = self._file(path), bytes.fromhex(data)
        file.data.extend(bytes(max(0, offset - len(file.data))))
        file.data[offset : offset + len(content)] = content

    def _do_append(self, path: str, data: str) -> None:
        self._file(path).data.extend(bytes.fromhex(data))

    def _do_truncate(self, path: str, size: int) -> None:
        file = self._file(path)
        file.data[:] = file.data[:size].ljust(size, b"\0")

    def _do_sync(self, path: str) -> None:
        node = self._node(path)
        if isinstance(node, File):
            node.synced = bytes(node.data)
        elif isinstance(node, Directory):
            node.synced = dict(node.names)

    def _do_sync_all(self) -> None:
        def visit(node: Node) -> None:
            if isinstance(node, File):
                node.synced = bytes(node.data)
            elif isinstance(node, Directory):
                node.synced = dict(node.names)
                for child in node.names.values():
                    visit(child)

        visit(self.top)

    def _do_rename(self, source: str, target: str) -> None:
        if self._node(source) is self._directory(target)[0].names.get(os.path.basename(target)):
            return  # two names of one inode: POSIX leaves both
        self._put(target, self._take(source))

    def _do_link(self, source: str, target: str) -> None:
        self._put(target, self._file(source))

    def _do_symlink(self, text: str, path: str) -> None:
        self._put(path, Link(text))

    def _do_mkdir(self, path: str, mode: int) -> None:
        self._put(path, Directory(mode))

    def _do_unlink(self, path: str) -> None:
        self._take(path)

    def _do_chmod(self, path: str, mode: int) -> None:
        node = self._node(path)
        assert not isinstance(node, Link)
        node.mode = mode

    # ── after the power came back ──────────────────────────────────────────────────────────────────────────────

    def write_to(self, target: Path, survives: Choice) -> None:
        """What is on the disk after the loss, as real files; `survives` decides for each thing that was not synced."""
        inodes: dict[File, Path] = {}
        self._write_directory(self.top, target, survives, inodes)

    def _write_directory(self, directory: Directory, target: Path, survives: Choice, inodes: dict[File, Path]) -> None:
        target.mkdir()
        for name in _ordered(directory):
            before, after = directory.synced.get(name), directory.names.get(name)
            node = after if before is after or survives() else before
            if node is not None:
                self._write_node(node, target / name, survives, inodes)
        target.chmod(directory.mode)

    def _write_node(self, node: Node, path: Path, survives: Choice, inodes: dict[File, Path]) -> None:
        if isinstance(node, Directory):
            self._write_directory(node, path, survives, inodes)
        elif isinstance(node, Link):
            path.symlink_to(node.text)
        elif node in inodes:
            path.hardlink_to(inodes[node])
        else:
            path.write_bytes(_content(node, survives))
            path.chmod(node.mode)
            inodes[node] = path


def _ordered(directory: Directory) -> Iterable[str]:
    return sorted(directory.names.keys() | directory.synced.keys())


def _content(file: File, survives: Choice) -> bytes:
    data = bytes(file.data)
    if data == file.synced or survives():
        return data
    if data.startswith(file.synced) and file.synced and survives():
        return data[: (len(file.synced) + len(data)) // 2]
    return file.synced
