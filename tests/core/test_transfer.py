"""The transfer index: chunks are numbered alike on both sides, and damaged indexes are refused."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikoshi.core import transfer
from mikoshi.core.frames import MAX_CHUNK
from mikoshi.core.release import file_entry, manifest
from mikoshi.core.transfer import Chunk, MalformedIndex, Place, TransferIndex

A, B, C, D = (hashlib.sha256(name).hexdigest() for name in (b"a", b"b", b"c", b"d"))
INDEXES = st.dictionaries(
    st.sampled_from([A, B, C]),
    st.lists(st.builds(Chunk, st.sampled_from([A, B, C, D]), st.integers(1, 1 << 40)), min_size=1).map(tuple),
).map(TransferIndex)


@given(INDEXES)
def test_decoding_gives_back_what_was_encoded(index: TransferIndex) -> None:
    assert transfer.decode(transfer.encode(index)) == index


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"version":1}',
        b'{"version":1,"files":[]}',
        b'{"version":1,"files":{"x":[["../../x",1]]}}',
        b'{"version":1,"files":{"x":[["' + A.encode() + b'",0]]}}',
        b'{"version":1,"files":{"x":[["' + A.encode() + b'"]]}}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_an_index_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedIndex):
        transfer.decode(data)


def test_an_index_of_another_version_is_refused_by_its_version() -> None:
    with pytest.raises(MalformedIndex, match="version 2"):
        transfer.decode(b'{"version":2,"files":"whatever comes"}')


def test_chunks_are_numbered_in_order_of_the_manifest_and_each_content_once() -> None:
    release = manifest(
        "any",
        [
            file_entry("a", 0, 3, A),
            file_entry("b", 0, 30, B),
            file_entry("c", 0, 3, A),
            file_entry("d", 0, 0, C),
        ],
    )
    index = TransferIndex({B: (Chunk(D, 10), Chunk(A, 3), Chunk(D, 10), Chunk(C, 7))})
    assert list(transfer.places(release, index)) == [
        Place(A, 0, Chunk(A, 3)),
        Place(B, 0, Chunk(D, 10)),
        Place(B, 10, Chunk(A, 3)),
        Place(B, 13, Chunk(D, 10)),
        Place(B, 23, Chunk(C, 7)),
    ]
    assert transfer.chunks(release, index) == (Chunk(A, 3), Chunk(D, 10), Chunk(C, 7))
    transfer.check(release, index)


def test_chunks_that_do_not_add_up_or_cannot_travel_are_refused() -> None:
    release = manifest("any", [file_entry("big", 0, 2 * MAX_CHUNK, A)])
    for parts in ((Chunk(B, 1),), (Chunk(B, 2 * MAX_CHUNK),)):
        with pytest.raises(MalformedIndex, match="big"):
            transfer.check(release, TransferIndex({A: parts}))
    with pytest.raises(MalformedIndex, match="big"):
        transfer.check(release, TransferIndex({}))
    transfer.check(release, TransferIndex({A: (Chunk(B, MAX_CHUNK), Chunk(C, MAX_CHUNK))}))


@given(st.integers(0, 300).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, max(n - 1, 0))))))
def test_a_bitmap_gives_back_its_numbers(case: tuple[int, set[int]]) -> None:
    count, chosen = case
    chosen = {number for number in chosen if number < count}
    bits = transfer.bitmap(sorted(chosen), count)
    assert len(bits) == (count + 7) // 8
    assert transfer.numbers(bits) == sorted(chosen)
