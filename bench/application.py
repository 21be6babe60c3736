"""The application that is deployed: 2,000 files, 60 MB, the same bytes in every run.

Most files are a few KB, as sources are; a few dozen are of MB size, as libraries and pictures are. Half of the content
compresses well, half not at all.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

FILES, TOTAL = 2_000, 60_000_000
LARGE_FILES, LARGE_SHARE = 24, 0.7
DIRECTORIES = 120
REST = 2.5  # seconds: a file edited just now is read again by tools that look at times; most of a source tree is older
CHANGED = Path("pkg000/module00000.py")
_WORDS = ("release", "deploy", "stage", "verify", "host", "session", "content", "chunk", "while", "return", "import")


class Application:
    """A source directory with one file that is edited from version to version; version 0 is the first."""

    def __init__(self, directory: Path) -> None:
        """Write version 0 into `directory`, which must not exist, and let it come to rest."""
        self.directory = directory
        self.version = 0
        chance = random.Random(20)
        for path, size in _sizes(chance):
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content(chance, size))
            file.chmod(0o755 if file.suffix == ".sh" else 0o644)
        self._first = (directory / CHANGED).read_bytes()
        time.sleep(REST)

    def edit(self, version: int) -> None:
        """Change one file in place, as an editor does. Each version has another size: rsync looks at that."""
        self.version = version
        (self.directory / CHANGED).write_bytes(self._first + b"# one more line\n" * version)


def content(chance: random.Random, size: int) -> bytes:
    """`size` bytes, every other 4 KiB of them text that compresses, the rest noise."""
    parts: list[bytes] = []
    length = 0
    while length < size:
        part = chance.randbytes(4096) if len(parts) % 2 else _text(chance, 4096)
        parts.append(part)
        length += len(part)
    return b"".join(parts)[:size]


def _text(chance: random.Random, size: int) -> bytes:
    return " ".join(chance.choices(_WORDS, k=size // 4)).encode()[:size]


def _sizes(chance: random.Random) -> Iterator[tuple[str, int]]:
    """Paths and sizes in bytes; together TOTAL."""
    small = FILES - LARGE_FILES
    weights = [chance.lognormvariate(0, 1.1) for _ in range(small)]
    scale = TOTAL * (1 - LARGE_SHARE) / sum(weights)
    sizes = [max(64, round(weight * scale)) for weight in weights]
    suffixes = (".py", ".py", ".py", ".html", ".js", ".json", ".sh")
    for number, size in enumerate(sizes):
        suffix = suffixes[number % len(suffixes)]
        yield f"pkg{number % DIRECTORIES:03}/module{number:05}{suffix}", size
    rest = TOTAL - sum(sizes)
    for number in range(LARGE_FILES):
        size = rest // LARGE_FILES if number else rest - (LARGE_FILES - 1) * (rest // LARGE_FILES)
        yield f"assets/library{number:02}.bin", size
