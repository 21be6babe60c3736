"""Entries back to files: a clean copy of what a release is made of so far, for build steps to work in.

Copies or clones, never hard links: a build may edit what it finds.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from mikoshi.core.errors import ContentMissing
from mikoshi.core.release import DIRECTORY, FILE, Entry
from mikoshi.packing.content import copy_hashing
from mikoshi.packing.objects import Objects


def materialise(objects: Objects, entries: Iterable[Entry], directory: Path) -> None:
    """Write `entries` below `directory`, which exists and has nothing where they go. Raises ContentMissing."""
    made = {str(directory)}
    for entry in entries:
        target = f"{directory}/{entry.path}"
        _make_parents(os.path.dirname(target), made)
        if entry.kind == FILE:
            _write_file(objects, entry, target)
        elif entry.kind == DIRECTORY:
            os.makedirs(target, exist_ok=True)
        else:
            os.symlink(entry.target, target)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole tree, however a build left it; nothing there is no error."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    os.chmod(path, stat.S_IRWXU)
    for directory, names, _ in os.walk(path):
        for name in names:
            own = os.path.join(directory, name)
            if not os.path.islink(own):
                os.chmod(own, stat.S_IRWXU)
    shutil.rmtree(path)


def _make_parents(directory: str, made: set[str]) -> None:
    if directory not in made:
        os.makedirs(directory, exist_ok=True)
        made.add(directory)


def _write_file(objects: Objects, entry: Entry, target: str) -> None:
    try:
        source = os.open(objects.path(entry.digest), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ContentMissing("", [entry.path]) from None
    try:
        copy = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            digest, _, _ = copy_hashing(source, copy, entry.size)
            os.fchmod(copy, entry.mode)
        finally:
            os.close(copy)
    finally:
        os.close(source)
    if digest != entry.digest:
        objects.remove([entry.digest])
        raise ContentMissing("", [entry.path])
