"""What a deployment's tree must hold: the manifest's entries, the directories they need, the links to shared paths.

Pure: made of values, compared with a tree elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mikoshi.core.errors import ProtocolMismatch, SharedConflict
from mikoshi.core.release import DIRECTORY, FILE, LINK, Entry, Manifest

DIRECTORY_MODE = 0o555
_UP_FROM_TREE = 3


def sealed_mode(entry: Entry) -> int:
    """The mode of a file in a finished tree: nobody may write."""
    return entry.mode & 0o555


@dataclass(frozen=True)
class Layout:
    """A tree's content by path. `directories` are all of them, parents first; `links` are path → text."""

    files: dict[str, Entry]
    links: dict[str, str]
    directories: frozenset[str]

    def parents_first(self) -> list[str]:
        """Every directory after the one it stands in."""
        return sorted(self.directories, key=lambda path: (path.count("/"), path))


def layout_of(release: Manifest, shared: Iterable[str]) -> Layout:
    """The layout of a release with these shared paths. Raises SharedConflict and ProtocolMismatch."""
    paths = shared_links(release, shared)
    files = {entry.path: entry for entry in release.entries if entry.kind == FILE}
    links = {entry.path: entry.target for entry in release.entries if entry.kind == LINK}
    links.update(paths)
    directories = {entry.path for entry in release.entries if entry.kind == DIRECTORY}
    for path in (*files, *links, *tuple(directories)):
        directories.update(ancestors(path))
    return Layout(files, links, frozenset(directories))


def ancestors(path: str) -> Iterator[str]:
    """The directories above `path`, nearest first."""
    parent = path.rpartition("/")[0]
    while parent:
        yield parent
        parent = parent.rpartition("/")[0]


def shared_links(release: Manifest, shared: Iterable[str]) -> dict[str, str]:
    """Shared paths as links of the tree, path → text. Raises SharedConflict if the release packs something there."""
    wanted = [plain_shared(path) for path in shared]
    taken = {entry.path: entry.kind for entry in release.entries}
    above = {parent for path in taken for parent in ancestors(path)}
    for path in wanted:
        blocked = [parent for parent in ancestors(path) if parent in taken and taken[parent] != DIRECTORY]
        inside = [parent for parent in ancestors(path) if parent in wanted]
        if path in taken or path in above or blocked or inside:
            raise SharedConflict(path)
    return {path: "../" * (path.count("/") + _UP_FROM_TREE) + f"shared/{path}" for path in wanted}


def plain_shared(path: str) -> str:
    """A shared path without its final slash. Raises ProtocolMismatch for one that is not plain and relative."""
    plain = path.rstrip("/")
    if any(part in ("", ".", "..") for part in plain.split("/")) or "\0" in plain:
        raise ProtocolMismatch(f"{path!r} cannot be a shared path")
    return plain


def by_content(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Files by the digest of their content."""
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.digest, []).append(entry)
    return found


def by_mode(entries: Iterable[Entry]) -> list[tuple[int, list[Entry]]]:
    """Files of one content by their mode in a finished tree."""
    found: dict[int, list[Entry]] = {}
    for entry in entries:
        found.setdefault(sealed_mode(entry), []).append(entry)
    return sorted(found.items())
