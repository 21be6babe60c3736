"""What the engine has hashed, remembered by inode, so that a file at rest need not be read at every deploy.

An entry counts only while size, times and inode are unchanged and the inode had been at rest for a while when it was
hashed: an edit within the clock's granularity could not be seen otherwise. Whoever writes to a file changes its ctime,
which nobody can set; so an edit is noticed as by hashing again. What is kept beyond a session counts until the next
boot only: after a loss of power every file is read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import NamedTuple

REST_NS = 20_000_000
_BLOCK = 1 << 20
_VERSION = 1


class _Seen(NamedTuple):
    size: int
    mtime_ns: int
    ctime_ns: int
    digest: str
    rested: bool


class Fingerprints:
    """Digests of files by inode. `kept` is what an earlier session saved, b"" for nothing; `boot` is this boot's id."""

    def __init__(self, kept: bytes = b"", boot: str = "") -> None:
        self._seen: dict[tuple[int, int], _Seen] = {}
        self._used: set[tuple[int, int]] = set()
        self._boot = boot
        if kept and boot:
            self._seen = _loaded(kept, boot)

    def saved(self) -> bytes:
        """What the next session may start with: the entries that this one used; b"" without a boot to bind them to."""
        if not self._boot:
            return b""
        rows = [
            [*inode, seen.size, seen.mtime_ns, seen.ctime_ns, seen.digest]
            for inode, seen in self._seen.items()
            if seen.rested and inode in self._used
        ]
        return json.dumps({"version": _VERSION, "boot": self._boot, "files": rows}, separators=(",", ":")).encode()

    def known(self, status: os.stat_result) -> str | None:
        """The digest of the file with this status, or None if it has to be read."""
        inode = (status.st_dev, status.st_ino)
        seen = self._seen.get(inode)
        if seen is None or not seen.rested or seen.ctime_ns != status.st_ctime_ns:
            return None
        if (seen.size, seen.mtime_ns) != (status.st_size, status.st_mtime_ns):
            return None
        self._used.add(inode)
        return seen.digest

    def read(self, path: str, status: os.stat_result | None = None) -> str:
        """The digest of the regular file at `path`, read only if it has to be. Raises OSError (ELOOP for a link)."""
        if status is not None:
            known = self.known(status)
            if known is not None:
                return known
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return self._hash(fd)
        finally:
            os.close(fd)

    def _hash(self, fd: int) -> str:
        begun, before = time.time_ns(), os.fstat(fd)
        digest = digest_of(fd)
        after = os.fstat(fd)
        unchanged = (before.st_mtime_ns, before.st_ctime_ns) == (after.st_mtime_ns, after.st_ctime_ns)
        self._note(after, digest, unchanged and after.st_ctime_ns + REST_NS <= begun)
        return digest

    def _note(self, status: os.stat_result, digest: str, rested: bool) -> None:
        seen = _Seen(status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest, rested)
        inode = (status.st_dev, status.st_ino)
        self._seen[inode] = seen
        self._used.add(inode)

    def linked(self, before: os.stat_result, after: os.stat_result) -> None:
        """The file with status `before` got or lost a name and now has status `after`: that changes ctime alone.

        An edit in between would have changed mtime too, since the file had been at rest before it was hashed.
        """
        digest = self.known(before)
        same = (before.st_dev, before.st_ino, before.st_size, before.st_mtime_ns)
        if digest is not None and same == (after.st_dev, after.st_ino, after.st_size, after.st_mtime_ns):
            self._note(after, digest, rested=True)


def _loaded(kept: bytes, boot: str) -> dict[tuple[int, int], _Seen]:
    """The saved entries; none of another boot or version, and none from bytes that are not whole."""
    try:
        data = json.loads(kept)
        if (data["version"], data["boot"]) != (_VERSION, boot):
            return {}
        return {
            (device, inode): _Seen(size, mtime_ns, ctime_ns, digest, True)
            for device, inode, size, mtime_ns, ctime_ns, digest in data["files"]
        }
    except (ValueError, KeyError, TypeError):
        return {}


def digest_of(fd: int) -> str:
    """The SHA-256, in hex, of an open file's content from its beginning; reads block by block."""
    digest, offset = hashlib.sha256(), 0
    while True:
        block = os.pread(fd, _BLOCK, offset)
        if not block:
            return digest.hexdigest()
        digest.update(block)
        offset += len(block)
