"""Frames: whatever was sent arrives, and whatever else comes is refused."""

import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikoshi.core import frames
from mikoshi.core.frames import Frame, FrameReader, MalformedFrame

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.dictionaries(st.text(), JSON, max_size=4)
FRAMES = st.builds(Frame, st.sampled_from([frames.MESSAGE, frames.BLOB, frames.CHUNKS]), st.binary(max_size=200))


@given(st.lists(FRAMES, max_size=6), st.data())
def test_frames_arrive_whole_however_the_stream_is_cut(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(frame.encode() for frame in sent)
    reader, got, at = FrameReader(), [], 0
    while at < len(stream):
        step = data.draw(st.integers(1, len(stream) - at))
        got += list(reader.feed(stream[at : at + step]))
        at += step
    assert got == sent
    assert reader.pending() == b""


def test_an_incomplete_frame_is_pending_and_no_frame() -> None:
    reader = FrameReader()
    encoded = Frame(frames.BLOB, b"12345").encode()
    assert list(reader.feed(encoded[:-1])) == []
    assert reader.pending() == encoded[:-1]


@given(MESSAGES)
def test_a_message_comes_back_as_it_went(message: dict[str, object]) -> None:
    assert frames.message_of(frames.message_frame(message)) == message


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b"{", b'"x"', b"[" * 100_000])
def test_what_is_not_a_message_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedFrame):
        frames.message_of(Frame(frames.MESSAGE, payload))


@given(st.binary(max_size=2000) | st.integers(0, 100_000).map(bytes))
def test_a_blob_comes_back_as_it_went(content: bytes) -> None:
    assert frames.blob_of(frames.blob_frame(content)) == content


def test_what_compresses_is_compressed_and_what_does_not_grows_by_a_byte() -> None:
    noise = random.Random(1).randbytes(100_000)
    assert len(frames.blob_frame(bytes(100_000)).payload) < 1000
    assert len(frames.blob_frame(noise).payload) == len(noise) + 1


@given(st.lists(st.tuples(st.integers(0, 1 << 31), st.binary(max_size=300)), max_size=8))
def test_a_batch_of_chunks_comes_back_as_it_went(batch: list[tuple[int, bytes]]) -> None:
    assert frames.unpack_chunks(frames.pack_chunks(batch)) == batch


def test_the_largest_chunk_travels() -> None:
    batch = [(0, bytes(frames.MAX_CHUNK)), (1, bytes(frames.BATCH_SIZE))]
    assert frames.unpack_chunks(frames.pack_chunks(batch)) == batch


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"x123",
        b"r",
        b"r" + struct.pack(">I", 1),
        b"r" + struct.pack(">III", 1, 0, 5) + b"1234",
        b"r" + struct.pack(">III", 1, 0, 5) + b"123456",
        b"r" + struct.pack(">I", 0xFFFFFFFF),
        b"znot compressed",
        b"z" + zlib.compress(bytes(1000))[:-4],
    ],
)
def test_a_damaged_batch_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedFrame):
        frames.unpack_chunks(Frame(frames.CHUNKS, payload))


def test_a_batch_that_would_fill_the_memory_is_refused() -> None:
    bomb = Frame(frames.CHUNKS, b"z" + zlib.compress(bytes(64 << 20), 9))
    assert len(bomb.payload) < 100_000
    with pytest.raises(MalformedFrame, match="larger"):
        frames.unpack_chunks(bomb)


@pytest.mark.parametrize("head", [b"Welcome to Debian\n", b"J\xff\xff\xff\xff", b"\0\0\0\0\0"])
def test_a_stream_that_holds_no_frames_is_refused_at_once(head: bytes) -> None:
    with pytest.raises(MalformedFrame):
        list(FrameReader().feed(head))
