"""Cutting large files by content, so that a byte inserted somewhere changes the chunks around it and no others.

FastCDC (Xia et al., USENIX ATC 2016), by the pyfastcdc library. The parameters belong to the transfer index, not to a
release's identity: changing them renames nothing, but what nodes hold is then cut differently once.
"""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from pyfastcdc import FastCDC

from mikoshi.core.transfer import Chunk

SMALLEST, AVERAGE, LARGEST = 32 << 10, 128 << 10, 512 << 10


def needs_cutting(size: int) -> bool:
    """Whether a file of `size` bytes has more than one chunk."""
    return size > LARGEST


def cut(stream: BinaryIO) -> tuple[str, tuple[Chunk, ...]]:
    """The digest (SHA-256 in hex) of what `stream` gives, and its chunks in order.

    Memory is bounded by a few of the largest chunks.
    """
    cutter = FastCDC(avg_size=AVERAGE, min_size=SMALLEST, max_size=LARGEST, normalized_chunking=1, seed=0)
    whole, chunks = hashlib.sha256(), []
    for piece in cutter.cut_stream(stream):
        whole.update(piece.data)
        chunks.append(Chunk(hashlib.sha256(piece.data).hexdigest(), piece.length))
    return whole.hexdigest(), tuple(chunks)
