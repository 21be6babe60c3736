"""Content on its way: every chunk once, in batches of bounded size, however many nodes ask for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mikoshi.core import frames, transfer
from mikoshi.core.release import FILE, Entry, Manifest
from mikoshi.engine.content import Content, Spools, in_batches

sizes = st.lists(st.integers(1, 300), max_size=60)


def place(number: int, size: int) -> transfer.Place:
    return transfer.Place(f"file{number}", 0, transfer.Chunk(f"chunk{number}", size))


@given(sizes)
def test_batches_hold_every_chunk_once_in_order_and_are_no_larger_than_they_must(lengths: list[int]) -> None:
    numbered = [(number, place(number, size)) for number, size in enumerate(lengths)]
    batches = in_batches(numbered, size=256)
    assert [one for batch in batches for one in batch] == numbered
    for batch in batches:
        assert batch
        assert len(batch) == 1 or sum(one.chunk.size for _, one in batch) <= 256


class CountingReader:
    """Content out of nothing; counts how often each chunk was read."""

    def __init__(self) -> None:
        self.reads: dict[str, int] = {}

    def read(self, place: transfer.Place) -> bytes:
        """The chunk's bytes."""
        self.reads[place.chunk.digest] = self.reads.get(place.chunk.digest, 0) + 1
        return place.chunk.digest[:1].encode() * place.chunk.size


def content_of(reader: CountingReader, count: int) -> Content:
    """A release of `count` files of half a batch each, and one file twice."""
    digests = [f"{number:064x}" for number in range(count)]
    entries = [Entry(FILE, f"{n}.bin", 0o644, frames.BATCH_SIZE // 2, digest, "") for n, digest in enumerate(digests)]
    twin = Entry(FILE, "twin.bin", 0o644, frames.BATCH_SIZE // 2, digests[0], "")
    return Content("r", Manifest("any", (*entries, twin)), transfer.TransferIndex({}), reader)


def test_nodes_that_lack_the_same_share_one_reading_and_get_the_same(tmp_path: Path) -> None:
    reader = CountingReader()
    content = content_of(reader, 7)
    missing = transfer.bitmap(list(range(7)), 7)

    async def receive(spools: Spools) -> list[tuple[int, bytes]]:
        got: list[tuple[int, bytes]] = []
        async for encoded, size in spools.spool(missing).frames():
            [frame] = frames.FrameReader().feed(encoded)
            batch = frames.unpack_chunks(frame)
            assert sum(len(data) for _, data in batch) == size
            got.extend(batch)
        return got

    async def run() -> list[list[tuple[int, bytes]]]:
        with Spools(content, tmp_path) as spools:
            return await asyncio.gather(*(receive(spools) for _ in range(5)))

    results = asyncio.run(run())
    assert all(result == results[0] for result in results)
    assert [number for number, _ in results[0]] == list(range(7))
    assert set(reader.reads.values()) == {1}
    assert list(tmp_path.iterdir()) == [], "the scratch file has a name or stayed"


def test_another_set_of_missing_chunks_is_read_for_itself(tmp_path: Path) -> None:
    reader = CountingReader()
    with Spools(content_of(reader, 3), tmp_path) as spools:
        one, other = (spools.spool(transfer.bitmap(numbers, 3)) for numbers in ([0, 1], [1, 2]))
        assert [number for batch in one.batches for number, _ in batch] == [0, 1]
        assert [number for batch in other.batches for number, _ in batch] == [1, 2]
        assert spools.spool(transfer.bitmap([0, 1], 3)) is one
