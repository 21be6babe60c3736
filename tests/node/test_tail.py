"""The end of a log and what is added to it: nothing twice, nothing lost, whatever is rotated meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mikoshi.node.runner.logs import RotatedFile
from mikoshi.node.tail import Tail


@pytest.fixture
def tail(tmp_path: Path) -> Iterator[Tail]:
    made = Tail(str(tmp_path / "web.log"))
    yield made
    made.close()


def write(tail: Tail, text: str) -> None:
    with open(tail.path, "a") as file:
        file.write(text)


def test_the_last_lines_are_whole_ones_and_no_more_than_asked_for(tail: Tail) -> None:
    write(tail, "a\nb\nc\nd")
    assert tail.last(2) == [b"b", b"c"]
    write(tail, "e\n")
    assert tail.more() == [b"de"]
    assert tail.more() == []


def test_no_line_asked_for_is_none(tail: Tail) -> None:
    write(tail, "a\n")
    assert tail.last(0) == []
    write(tail, "b\n")
    assert tail.more() == [b"b"]


def test_a_log_that_is_not_there_yet_is_read_once_it_is(tail: Tail) -> None:
    assert tail.last(5) == []
    assert tail.more() == []
    write(tail, "a\n")
    assert tail.more() == [b"a"]


def test_a_line_that_was_cut_by_the_limit_is_not_shown_as_a_whole_one(tail: Tail) -> None:
    write(tail, "x" * (5 << 20) + "\nlast\n")
    assert tail.last(10) == [b"last"]


def test_lines_from_before_a_rotation_are_among_the_last(tail: Tail) -> None:
    write(tail, "a\nb\n")
    os.rename(tail.path, f"{tail.path}.1")
    write(tail, "c\n")
    assert tail.last(2) == [b"b", b"c"]


@pytest.mark.parametrize("looks", [1, 3, 7])
def test_following_through_rotations_shows_every_line_once(tail: Tail, looks: int) -> None:
    file = RotatedFile(tail.path, size=64 << 10)
    line = b"x" * 1000
    wanted, found = [], list[bytes]()
    assert tail.last(0) == []
    for number in range(400):
        wanted.append(b"%d %s" % (number, line))
        file.write(wanted[-1] + b"\n")
        if number % looks == 0:
            found += tail.more()
    found += tail.more()
    file.close()
    assert found == wanted
    assert Path(f"{tail.path}.1").exists()


def test_a_log_that_somebody_emptied_is_read_from_its_begin(tail: Tail) -> None:
    write(tail, "a long line\n")
    tail.last(1)
    Path(tail.path).write_text("b\n")
    assert tail.more() == [b"b"]
