"""Unpacks an engine on a host, once, and becomes it. This file's text is sent to the host and run there.

Python 3.9 and its standard library only; it must not import anything of Mikoshi. It is started with the engine's
archive on its standard input and answers on its standard output, one line each (see `bootstrap`). Root runs what lies
in the directory: nothing below it may ever be writable by anybody else.
"""

from __future__ import annotations

import hashlib
import json
import os
import py_compile
import shutil
import stat
import sys
import tempfile
import time
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

KEPT = 3
DAY = 86400.0


class Unusable(Exception):
    """The directory cannot hold an engine that is safe to run; `path` and `reason` say why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason


def main(directory: str, digest: str, size: int) -> None:
    """Read `size` bytes of compressed archive, install it below `directory` and become the engine."""
    os.umask(0o022 if os.geteuid() == 0 else 0o077)
    archive = unpacked(read_exactly(size), digest)
    if archive is None:
        say(digest, "DAMAGED")
        return
    try:
        engine = install(Path(directory), digest, archive)
    except Unusable as error:
        say(digest, "UNUSABLE " + json.dumps([str(error.path), error.reason]))
        return
    except OSError as error:
        say(digest, "UNUSABLE " + json.dumps([str(error.filename or directory), error.strerror or str(error)]))
        return
    say(digest, "HAVE")
    os.execv(sys.executable, [sys.executable, "-I", "-S", str(engine)])


def say(digest: str, words: str) -> None:
    """One line of the protocol, on a line of its own whatever was written before it."""
    os.write(1, f"\nMIKOSHI {digest} {words}\n".encode())


def read_exactly(size: int) -> bytes:
    """The next `size` bytes of standard input, or fewer if it ends. Nothing of what follows them is taken."""
    content = b""
    while len(content) < size:
        part = os.read(0, min(size - len(content), 1 << 16))
        if not part:
            break
        content += part
    return content


def unpacked(wire: bytes, digest: str) -> bytes | None:
    """The archive that was sent, or None if it is not the one announced."""
    try:
        archive = zlib.decompress(wire)
    except zlib.error:
        return None
    return archive if hashlib.sha256(archive).hexdigest() == digest else None


def install(directory: Path, digest: str, archive: bytes) -> Path:
    """Make `directory`/`digest` hold the engine, whole or not at all, and return it. Raises Unusable or OSError."""
    make_private(directory)
    engine = directory / digest
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=directory))
    try:
        unpack(archive, new)
        put_in_place(new, engine)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    prune(directory, digest)
    return engine


def make_private(directory: Path) -> None:
    """Make `directory`; raise Unusable if somebody else could write it or the one above it."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in (directory.parent, directory):
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise Unusable(path, "not a directory")
        shared = found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX
        if shared or found.st_uid not in (0, os.geteuid()):
            raise Unusable(path, "writable by others than the user who runs what is in it")


def unpack(archive: bytes, new: Path) -> None:
    """Write the members and their compiled forms, and the interpreter's path, all of it synced."""
    new.chmod(0o755 if os.geteuid() == 0 else 0o700)
    with zipfile.ZipFile(BytesIO(archive)) as members:
        members.extractall(new)
    for source in new.rglob("*.py"):
        # The engine's directory is named by its content: no source is ever newer than its compiled form.
        py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    (new / "python").write_text(sys.executable + "\n")
    for path in [*new.rglob("*"), new]:
        sync(path)


def sync(path: Path) -> None:
    """Bring a file or directory to the disk: a rename must not outlive the content it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(new: Path, engine: Path) -> None:
    """Rename `new` to `engine`. One that is there already is as good, once it names an interpreter that exists."""
    try:
        new.rename(engine)
    except OSError:
        if not engine.is_dir():
            raise
        if not interpreter_is_there(engine):
            (new / "python").rename(engine / "python")
    sync(engine.parent)


def interpreter_is_there(engine: Path) -> bool:
    """Whether the interpreter that an installed engine names exists."""
    try:
        return os.access((engine / "python").read_text().strip(), os.X_OK)
    except OSError:
        return False


def prune(directory: Path, digest: str) -> None:
    """Remove engines beyond the newest KEPT, and remains of broken-off installs, once they are a day old.

    A session that still runs may load more modules of a younger one.
    """
    others = []
    for path in directory.iterdir():
        try:
            age = time.time() - path.lstat().st_mtime
        except FileNotFoundError:
            continue  # another install prunes at the same time
        if path.name != digest:
            others.append((age, path))
    engines = sorted((age, path) for age, path in others if not path.name.startswith(".new-"))
    remains = [(age, path) for age, path in others if path.name.startswith(".new-")]
    for age, path in engines[KEPT - 1 :] + remains:
        if age > DAY:
            shutil.rmtree(path, ignore_errors=True)
