"""Lines of logs as values: whatever of a log comes twice is told from what is new."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikoshi.engine.loglines import Novelty, Place, last, parse

RAW = "2026-11-24T16:54:37.335Z web.1@2 some text"


def test_a_line_says_when_who_and_what() -> None:
    line = parse("a", "web", RAW, 0.0)
    assert (line.at, line.process, line.number, line.seq, line.trial) == (1795539277.335, "web", 1, 2, False)
    assert (line.origin, line.text) == ("web.1@2", "some text")


def test_a_trial_is_told_by_its_mark_and_an_empty_line_is_a_line() -> None:
    line = parse("a", "web", "2026-11-24T16:54:37.335Z web.0@2? ", 0.0)
    assert (line.trial, line.origin, line.text) == (True, "web.0@2?", "")


@pytest.mark.parametrize("text", ["", "-- 12 bytes were lost here --", "2026-11-24 web.1@2 x"])
def test_what_has_no_stamp_stands_where_it_was_written(text: str) -> None:
    line = parse("a", "web", text, 5.0)
    assert (line.at, line.origin, line.text) == (5.0, "web", text)


def test_lines_of_all_nodes_are_one_list_by_time() -> None:
    lines = [parse("a", "web", RAW.replace(":37.", f":{second}."), 0.0) for second in (10, 30)]
    lines += [parse("b", "web", RAW.replace(":37.", f":{second}."), 0.0) for second in (20, 30)]
    assert [(line.node, int(line.at) % 60) for line in last(lines, 3)] == [("b", 20), ("a", 30), ("b", 30)]
    assert last(lines, 0) == []


@given(st.lists(st.integers(1, 5), max_size=30).map(sorted), st.data())
def test_however_often_reading_goes_on_every_line_is_new_once(stamps: list[int], data: st.DataObject) -> None:
    place, read = Place(), 0
    while read < len(stamps):
        to = data.draw(st.integers(read, len(stamps)))
        begin = data.draw(st.integers(0, max(0, stamps.index(stamps[read - 1]) if read else 0)))
        place.resume()
        for index in range(begin, to):
            novelty = place.take(float(stamps[index]))
            assert (novelty is Novelty.OLD) == (index < read), (index, read)
        read = max(read, to)
        if to == len(stamps):
            break


def test_lines_that_may_be_lost_in_between_are_noticed() -> None:
    place = Place()
    assert place.take(1.0) is Novelty.NEW
    place.resume()
    assert place.take(3.0) is Novelty.AFTER_GAP
    assert place.take(4.0) is Novelty.NEW
    place.resume()
    assert place.take(4.0) is Novelty.OLD
    assert place.take(5.0) is Novelty.NEW
