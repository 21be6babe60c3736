"""The node engine as one small archive: `mikoshi.core`, `mikoshi.node` and `mikoshi.drain`, named by their digest.

The bytes depend on the sources alone, so that every operator with one version of Mikoshi brings the same engine.
Must never take anything else along: a node needs nothing but Python.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

SIZE_LIMIT = 200_000
_EPOCH = (1980, 1, 1, 0, 0, 0)
_STARTER = b"import runpy\n\nrunpy.run_module('mikoshi.node', run_name='__main__', alter_sys=True)\n"
_PACKAGE = b'"""The part of Mikoshi that works on a server."""\n'


@dataclass(frozen=True)
class EngineZip:
    """An archive whose `__main__` is the engine, and its SHA-256 in hex. `wire` is how it travels: zlib."""

    content: bytes
    digest: str

    @cached_property
    def wire(self) -> bytes:
        """The archive compressed as one stream: its members are stored, so that no zlib version shows in `digest`."""
        return zlib.compress(self.content, 6)


@cache
def node_engine() -> EngineZip:
    """The engine of the installed package; built once in a process."""
    members = {"__main__.py": _STARTER, "mikoshi/__init__.py": _PACKAGE}
    for package in ("core", "node", "drain"):
        members.update(_sources(files("mikoshi") / package, f"mikoshi/{package}"))
    return pack_engine(members)


def pack_engine(members: Mapping[str, bytes]) -> EngineZip:
    """An engine of these files by name: same names and contents, same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, members[name])
    content = buffer.getvalue()
    return EngineZip(content, hashlib.sha256(content).hexdigest())


def _sources(directory: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in directory.iterdir():
        if entry.is_dir():
            yield from _sources(entry, f"{name}/{entry.name}")
        elif entry.name.endswith((".py", ".js")):
            yield f"{name}/{entry.name}", entry.read_bytes()
