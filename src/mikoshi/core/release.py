"""A release: an immutable, content-addressed tree of files; its id is the SHA-256 of its manifest.

The manifest's bytes are the identity (DESIGN §5a): a version line, the platform, and the entries sorted by raw
UTF-8 path, every field length-prefixed so that no name can imitate a boundary. Nothing here touches a file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

VERSION_LINE = b"mikoshi release 1\n"
ANY_PLATFORM = "any"
FILE, LINK, DIRECTORY = "file", "link", "dir"
_KINDS = (FILE, LINK, DIRECTORY)
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_MOST_LINKS = 40  # what Linux follows before it answers ELOOP


class MalformedManifest(ValueError):
    """The bytes are not a manifest in canonical form, or an entry is one that no release may hold."""


@dataclass(frozen=True)
class Entry:
    """One thing in the tree.

    `path` is relative, with `/`; `mode` is 0o755 or 0o644 for files and 0 otherwise; `digest` (hex) and `size` (bytes)
    describe a file's content; `target` is a link's text.
    """

    kind: str
    path: str
    mode: int = 0
    size: int = 0
    digest: str = ""
    target: str = ""


def file_entry(path: str, mode: int, size: int, digest: str) -> Entry:
    """A file; any executable bit makes its mode 0o755, otherwise it is 0o644."""
    return Entry(FILE, path, 0o755 if mode & 0o111 else 0o644, size, digest)


def link_entry(path: str, target: str) -> Entry:
    """A symbolic link with the text `target`."""
    return Entry(LINK, path, target=target)


def directory_entry(path: str) -> Entry:
    """A directory that has nothing in it."""
    return Entry(DIRECTORY, path)


@dataclass(frozen=True)
class Manifest:
    """What a release is: its platform and its entries, sorted by the bytes of their paths."""

    platform: str
    entries: tuple[Entry, ...]

    def files(self) -> Iterator[Entry]:
        """The entries that are files, in order."""
        return (entry for entry in self.entries if entry.kind == FILE)

    def size(self) -> int:
        """The sum of the files' sizes in bytes."""
        return sum(entry.size for entry in self.entries)

    @cached_property
    def encoded(self) -> bytes:
        """The canonical bytes, made once; equal trees give equal bytes on any machine."""
        head = VERSION_LINE + _field(self.platform.encode())
        return head + b"".join(map(_encode_entry, self.entries))

    @cached_property
    def id(self) -> str:
        """The release's id."""
        return release_id(self.encoded)


def manifest(platform: str, entries: Iterable[Entry]) -> Manifest:
    """A manifest with its entries in canonical order; raises MalformedManifest for one that no node could hold."""
    try:
        ordered = tuple(sorted(entries, key=lambda entry: entry.path.encode()))
        platform.encode()
        for entry in ordered:
            entry.target.encode()
    except UnicodeEncodeError as error:
        raise MalformedManifest("a name is not UTF-8") from error
    _check(ordered)
    return Manifest(platform, ordered)


def release_id(encoded: bytes) -> str:
    """The release's id: the SHA-256, in hex, of its encoded manifest."""
    return hashlib.sha256(encoded).hexdigest()


def is_digest(text: str) -> bool:
    """Whether `text` is a SHA-256 as written here: 64 lower-case hex digits. It is safe as a file's name."""
    return _DIGEST.match(text) is not None


def link_leaves_tree(path: str, target: str) -> bool:
    """Whether the link at `path` with the text `target` is absolute or climbs above the tree's root."""
    if target.startswith("/") or not target:
        return True
    depth = path.count("/")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
            if depth < 0:
                return True
        elif part not in ("", "."):
            depth += 1
    return False


def leaving_link(links: Mapping[str, str]) -> str:
    """The path of a link that leads out of the tree when it is followed through the other `links`, "" if none does.

    `links` maps paths to targets. Each may stay inside by its text alone (see `link_leaves_tree`) and still lead out
    through a link to a directory on its way.
    """
    return next((path for path in sorted(links) if _leads_out(path, links)), "")


def _leads_out(path: str, links: Mapping[str, str]) -> bool:
    here = path.split("/")[:-1]
    left = links[path].split("/")[::-1]
    followed = 0
    while left:
        part = left.pop()
        if part == "..":
            if not here:
                return True
            here.pop()
        elif part not in ("", "."):
            here.append(part)
            through = links.get("/".join(here))
            if through is not None:
                followed += 1
                if followed > _MOST_LINKS:  # a circle: it leads nowhere
                    return False
                here.pop()
                left += through.split("/")[::-1]
    return False


def _check(entries: tuple[Entry, ...]) -> None:
    kinds: dict[str, str] = {}
    parents: set[str] = set()
    for entry in entries:
        _check_entry(entry)
        if entry.path in kinds:
            raise MalformedManifest(f"path {entry.path!r} stands twice")
        kinds[entry.path] = entry.kind
        parents.add(entry.path.rpartition("/")[0])
    for parent in parents:
        while parent:
            if parent in kinds:
                raise MalformedManifest(f"{parent!r} is a {kinds[parent]} and has something below it")
            parent = parent.rpartition("/")[0]
    leaving = leaving_link({entry.path: entry.target for entry in entries if entry.kind == LINK})
    if leaving:
        raise MalformedManifest(f"link {leaving!r} leaves the tree by way of other links")


def _check_entry(entry: Entry) -> None:
    path = entry.path
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise MalformedManifest(f"path {path!r} is not a plain relative path")
    if entry.kind == FILE:
        # The digest becomes a file's name on both sides: nothing but hex may stand there.
        if entry.mode not in (0o644, 0o755) or not is_digest(entry.digest) or entry.size < 0:
            raise MalformedManifest(f"file {path!r} has no proper mode, size or digest")
    elif entry.kind == LINK:
        if "\0" in entry.target or link_leaves_tree(path, entry.target):
            raise MalformedManifest(f"link {path!r} leaves the tree")
    elif entry.kind != DIRECTORY:
        raise MalformedManifest(f"unknown kind {entry.kind!r}")


# ── encoding ───────────────────────────────────────────────────────────────────────────────────────────────────


def _field(value: bytes) -> bytes:
    return b"%d:%s," % (len(value), value)


def _encode_entry(entry: Entry) -> bytes:
    if entry.kind == FILE:
        detail = (b"%o" % entry.mode, b"%d" % entry.size, entry.digest.encode())
    elif entry.kind == LINK:
        detail = (b"", b"", entry.target.encode())
    else:
        detail = (b"", b"", b"")
    return b"".join(_field(value) for value in (entry.kind.encode(), entry.path.encode(), *detail))


def encode(release: Manifest) -> bytes:
    """The manifest's canonical bytes."""
    return release.encoded


def decode(data: bytes) -> Manifest:
    """The manifest in `data`; raises MalformedManifest unless these are exactly the canonical bytes."""
    platform, entries = _parse(data)
    result = manifest(platform, entries)
    if encode(result) != data:
        raise MalformedManifest("not in canonical form")
    return result


def decode_known(data: bytes) -> Manifest:
    """The manifest in bytes whose digest the caller has compared with that of a release which was accepted before.

    Half the work of `decode`: these very bytes were looked at entry by entry when they came in.
    """
    platform, entries = _parse(data)
    result = Manifest(platform, tuple(entries))
    result.__dict__["encoded"] = data
    return result


def _parse(data: bytes) -> tuple[str, list[Entry]]:
    if not data.startswith(VERSION_LINE):
        raise MalformedManifest("not a manifest of a known version")
    try:
        values = [value.decode() for value in _fields(data, len(VERSION_LINE))]
    except UnicodeDecodeError as error:
        raise MalformedManifest("a name is not UTF-8") from error
    if len(values) % 5 != 1:
        raise MalformedManifest("an entry is cut short")
    rows = [values[index : index + 5] for index in range(1, len(values), 5)]
    return values[0], [_decode_entry(row) for row in rows]


def _fields(data: bytes, at: int) -> Iterator[bytes]:
    end = len(data)
    while at < end:
        colon = data.find(b":", at, at + 20)
        if colon < 0 or not data[at:colon].isdigit():
            raise MalformedManifest("a field has no length")
        start, at = colon + 1, colon + 1 + int(data[at:colon])
        if data[at : at + 1] != b",":
            raise MalformedManifest("a field does not end where it says")
        yield data[start:at]
        at += 1


def _decode_entry(row: list[str]) -> Entry:
    kind, path, mode, size, detail = row
    if kind not in _KINDS:
        raise MalformedManifest(f"unknown kind {kind!r}")
    if kind != FILE:
        return Entry(kind, path, target=detail)
    try:
        return Entry(FILE, path, int(mode, 8), int(size), detail)
    except ValueError as error:
        raise MalformedManifest(f"file {path!r} has no proper mode or size") from error


# ── deltas ─────────────────────────────────────────────────────────────────────────────────────────────────────


def difference(old: Manifest, new: Manifest) -> tuple[tuple[str, ...], tuple[Entry, ...]]:
    """What leads from `old` to `new`: the paths to drop, and the entries to add or replace."""
    before = {entry.path: entry for entry in old.entries}
    after = {entry.path for entry in new.entries}
    dropped = tuple(path for path in before if path not in after)
    changed = tuple(entry for entry in new.entries if before.get(entry.path) != entry)
    return dropped, changed


def patched(old: Manifest, platform: str, dropped: Iterable[str], changed: Iterable[Entry]) -> Manifest:
    """The inverse of `difference`; the caller compares the result's id with the one it was promised."""
    entries = {entry.path: entry for entry in old.entries}
    for path in dropped:
        entries.pop(path, None)
    entries.update((entry.path, entry) for entry in changed)
    return manifest(platform, entries.values())
