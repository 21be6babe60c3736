"""Gives content back: the manifest of a release that the node holds, and chunks of it, hashed before sending."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

from mikoshi.core import transfer
from mikoshi.core.errors import ContentMissing
from mikoshi.core.frames import BATCH_SIZE, Frame, pack_chunks
from mikoshi.node.workspace import Workspace


def describe(work: Workspace, release: str) -> list[bytes]:
    """The encoded manifest and transfer index. Raises ContentMissing."""
    seq = _holder(work, release)
    return [work.deployments.manifest_bytes(seq), work.deployments.index_bytes(seq)]


def _holder(work: Workspace, release: str) -> int:
    seq = work.deployments.with_release(release)
    if seq is None:
        raise ContentMissing(release, [])
    return seq


def chunks(work: Workspace, release: str, wanted: bytes) -> Iterator[Frame]:
    """The wanted chunks (a bitmap) in batches. Raises ContentMissing, also for a chunk that was edited on the node."""
    seq = _holder(work, release)
    numbers = set(transfer.numbers(wanted))
    batch: list[tuple[int, bytes]] = []
    size = 0
    for number, (path, offset, chunk) in enumerate(_places(work, seq).values()):
        if number not in numbers:
            continue
        data = _read(os.path.join(work.deployments.paths(seq).tree, path), offset, chunk.size)
        if hashlib.sha256(data).hexdigest() != chunk.digest:
            raise ContentMissing(release, [path])
        batch.append((number, data))
        size += len(data)
        if size >= BATCH_SIZE:
            yield pack_chunks(batch)
            batch, size = [], 0
    if batch:
        yield pack_chunks(batch)


def _places(work: Workspace, seq: int) -> dict[str, tuple[str, int, transfer.Chunk]]:
    """Chunk digest → (a file with it, offset, chunk), in the order of the chunks' numbers."""
    manifest, index = work.deployments.manifest(seq), work.deployments.index(seq)
    paths: dict[str, str] = {}
    for entry in manifest.files():
        paths.setdefault(entry.digest, entry.path)
    found: dict[str, tuple[str, int, transfer.Chunk]] = {}
    for place in transfer.places(manifest, index):
        found.setdefault(place.chunk.digest, (paths[place.file], place.offset, place.chunk))
    return found


def _read(path: str, offset: int, size: int) -> bytes:
    """The bytes at `offset`, fewer or none if the file is shorter or gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, size, offset)
    finally:
        os.close(fd)
