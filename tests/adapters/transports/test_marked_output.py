"""The marks around a command's output, whatever pieces it arrives in."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from mikoshi.adapters.transports.marked_output import BEGIN, END, MarkedOutput

NOISE = st.binary(max_size=40).filter(lambda noise: BEGIN not in noise)
OUTPUT = st.lists(st.sampled_from([b"\0", b"\n", b"x", b"line\n", END, END + b"7", END + b"7\n", BEGIN]), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(NOISE, OUTPUT.map(b"".join), st.integers(0, 255), st.lists(st.integers(0, 1000), max_size=10))
def test_output_and_status_arrive_whole_and_noise_does_not(
    noise: bytes, output: bytes, status: int, cuts: list[int]
) -> None:
    got = bytearray()
    marked = MarkedOutput(got.extend)
    for piece in pieces(noise + BEGIN + output + END + b"%d\n" % status, cuts):
        marked.take(piece)
    assert bytes(got) == output
    assert marked.status == status


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), min_size=1))
def test_text_is_passed_on_as_it_arrives(lines: list[str]) -> None:
    got = bytearray()
    marked = MarkedOutput(got.extend)
    marked.take(BEGIN)
    seen = b""
    for line in lines:
        seen += line.encode()
        marked.take(line.encode())
        assert bytes(got) == seen
    assert marked.status is None
