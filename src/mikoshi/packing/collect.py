"""From a source directory to the things that a release is made of: files, links and empty directories.

Decides by names and kinds alone; no file's content is read here, ignore files apart. Never follows a symbolic link and
never changes anything.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mikoshi.core.errors import FileChanged, LinkLeavesTree, NameNotUtf8, NothingToPack, NotPackable
from mikoshi.core.release import leaving_link, link_leaves_tree
from mikoshi.packing.ignore import Rules, ignored, lines_of, rules
from mikoshi.packing.repository import enclosing_repository

GIT_IGNORE, OWN_IGNORE = ".gitignore", ".mikoshiignore"
ALWAYS_LEFT_OUT = frozenset({".git", ".mikoshi", OWN_IGNORE})
LEFT_OUT_AT_ROOT = frozenset({"mikoshi.toml"})
_COUNT_LIMIT = 10_000
_KINDS = {
    stat.S_IFSOCK: "a socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFBLK: "a block device",
    stat.S_IFCHR: "a character device",
}


class SourceFile(NamedTuple):
    """A file to pack: its path in the release and what the file system said of it."""

    path: str
    status: os.stat_result


@dataclass
class SourceTree:
    """What stands in a directory and is to be packed. `links` are (path, target); `directories` are empty."""

    files: list[SourceFile] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Directory(NamedTuple):
    """A directory to be visited and the rules that hold in it, the strongest first in each tuple."""

    path: str  # "" or "dir/"
    own: tuple[Rules, ...]
    git: tuple[Rules, ...]


def collect(directory: Path, exclude: Sequence[str] = (), shared: Sequence[str] = ()) -> SourceTree:
    """What of `directory` belongs into a release.

    `exclude` are gitignore patterns that stand above .mikoshiignore, which stands above .gitignore. What is at or
    below a `shared` path is left out and counted in a note. Raises NameNotUtf8, NotPackable, LinkLeavesTree,
    FileChanged and NothingToPack.
    """
    strongest = rules(exclude)
    kept_apart = frozenset(path.strip("/") for path in shared)
    walk = _Walk(os.fsencode(directory), (strongest,) if strongest else (), kept_apart)
    tree = walk.run(_Directory("", (), tuple(_rules_above(directory))))
    if not tree.files and not tree.links:
        raise NothingToPack(str(directory))
    return tree


def collect_outputs(directory: Path, outputs: Sequence[str]) -> SourceTree:
    """Everything at or below the `outputs` (paths in `directory`, all existing): no ignore rule holds there."""
    walk = _Walk(os.fsencode(directory), (), frozenset(), everything=True)
    for output in outputs:
        walk.add(output.strip("/"))
    return walk.run()


class _Walk:
    def __init__(
        self, root: bytes, strongest: tuple[Rules, ...], shared: frozenset[str], everything: bool = False
    ) -> None:
        self._root = root
        self._strongest = strongest
        self._shared = shared
        self._everything = everything
        self._left = list[_Directory]()
        self._visited = set[str]()
        self._occupied = set[str]()
        self._tree = SourceTree()

    def run(self, first: _Directory | None = None) -> SourceTree:
        """Visit all that is left to visit, beginning with `first`."""
        self._left += [first] if first else []
        while self._left:
            self._visit(self._left.pop())
        empty = self._visited - self._occupied - {""}
        above_shared = {path[: end + 1] for path in self._shared for end in _slashes(path)}
        links = dict(self._tree.links)
        leaving = leaving_link(links)
        if leaving:
            raise LinkLeavesTree(leaving, links[leaving])
        self._tree.directories = sorted(path[:-1] for path in empty - above_shared)
        return self._tree

    def add(self, path: str) -> None:
        """Take one path by name: a directory is visited, anything else packed."""
        status = self._status(path)
        if stat.S_ISDIR(status.st_mode):
            self._left.append(_Directory(path + "/", (), ()))
        else:
            self._pack(path, status)

    def _visit(self, directory: _Directory) -> None:
        self._visited.add(directory.path)
        items = self._list(directory.path)
        own, git = directory.own, directory.git
        if not self._everything:
            own = self._rules_in(OWN_IGNORE, directory.path, items) + own
            git = self._rules_in(GIT_IGNORE, directory.path, items) + git
        layers = self._strongest + own + git
        for raw, item in items.items():
            name = raw.decode("utf-8", "surrogateescape")
            path = directory.path + name
            is_directory = item.is_dir(follow_symlinks=False)
            if self._left_out(path, name, is_directory, layers):
                continue
            if not name.isascii():
                _require_utf8(path)
            self._occupied.add(directory.path)
            if is_directory:
                self._left.append(_Directory(path + "/", own, git))
            else:
                self._pack(path, self._status(path, item))

    def _left_out(self, path: str, name: str, is_directory: bool, layers: tuple[Rules, ...]) -> bool:
        if self._everything:
            return False
        if name in ALWAYS_LEFT_OUT or path in LEFT_OUT_AT_ROOT:
            return True
        if layers and ignored(layers, path, is_directory):
            return True
        if path in self._shared:
            self._tree.notes.append(self._shared_note(path, is_directory))
            return True
        return False

    def _pack(self, path: str, status: os.stat_result) -> None:
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            self._tree.files.append(SourceFile(path, status))
        elif kind == stat.S_IFLNK:
            self._tree.links.append((path, self._target(path)))
        else:
            raise NotPackable(path, _KINDS.get(kind, "not a file"))

    def _target(self, path: str) -> str:
        try:
            target = os.readlink(self._root + b"/" + path.encode()).decode()
        except UnicodeDecodeError:
            raise NameNotUtf8(path) from None
        except OSError as error:
            raise _failure(path, error) from error
        if link_leaves_tree(path, target):
            raise LinkLeavesTree(path, target)
        return target

    def _list(self, path: str) -> dict[bytes, os.DirEntry[bytes]]:
        try:
            with os.scandir(self._root + b"/" + path.encode()) as items:
                return {item.name: item for item in items}
        except OSError as error:
            raise _failure(path.rstrip("/") or ".", error) from error

    def _status(self, path: str, item: os.DirEntry[bytes] | None = None) -> os.stat_result:
        try:
            return item.stat(follow_symlinks=False) if item else os.lstat(self._root + b"/" + path.encode())
        except OSError as error:
            raise _failure(path, error) from error

    def _rules_in(self, name: str, base: str, items: dict[bytes, os.DirEntry[bytes]]) -> tuple[Rules, ...]:
        item = items.get(name.encode())
        if item is None or not item.is_file(follow_symlinks=False):
            return ()
        found = _rules_of_file(Path(os.fsdecode(item.path)), base + name, base=base)
        return (found,) if found else ()

    def _shared_note(self, path: str, is_directory: bool) -> str:
        if not is_directory:
            return f"{path} is shared: it is not packed"
        count = 0
        for _, _, names in os.walk(self._root + b"/" + path.encode()):
            count += len(names)
            if count > _COUNT_LIMIT:
                return f"{path}/ is shared: more than {_COUNT_LIMIT} files in it are not packed"
        return f"{path}/ is shared: {count} {'file' if count == 1 else 'files'} in it are not packed"


def _rules_above(directory: Path) -> Iterator[Rules]:
    """The rules of the repository around `directory`, the strongest first; those in `directory` itself not included."""
    repository = enclosing_repository(directory)
    if repository is None:
        return
    here = directory.resolve()
    sources = [parent / GIT_IGNORE for parent in here.parents if parent.is_relative_to(repository.root)]
    for source in (*sources, repository.exclude):
        top = repository.root if source == repository.exclude else source.parent
        above = "" if top == here else here.relative_to(top).as_posix() + "/"
        if source.is_file() and not (source.is_symlink() and source != repository.exclude):
            found = _rules_of_file(source, str(source), above=above)
            if found:
                yield found


def _rules_of_file(file: Path, shown: str, base: str = "", above: str = "") -> Rules | None:
    try:
        return rules(lines_of(file.read_bytes()), base, above)
    except OSError as error:
        raise _failure(shown, error) from error


def _require_utf8(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raw = path.encode("utf-8", "surrogateescape")
        raise NameNotUtf8(raw.decode("utf-8", "backslashreplace")) from None


def _failure(path: str, error: OSError) -> FileChanged | NotPackable:
    if isinstance(error, FileNotFoundError):
        return FileChanged(path)
    return NotPackable(path, error.strerror or str(error))


def _slashes(path: str) -> Iterator[int]:
    return (index for index, character in enumerate(path) if character == "/")
