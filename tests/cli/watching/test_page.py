"""A page fits its terminal, whatever is on it; keys change how it is looked at."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.watching.views import CRASHING, LEAVING, NEW, RUNNING

from mikoshi.cli.output import width
from mikoshi.cli.watching.keys import Keys
from mikoshi.cli.watching.page import Look, fit, page, plain_table, room
from mikoshi.cli.watching.rows import Row, rows_of, said

ROWS = [
    *rows_of(0, "web1.example.com", [RUNNING, LEAVING, NEW, CRASHING], []),
    said(1, "web2.example.com", "out of reach: no connection", "trouble"),
]


def texts(rows: list[Row], look: Look, columns: int = 80, lines: int = 24) -> list[str]:
    return [line.text for line in page("shop production", "12:00:00", rows, look, columns, lines)]


def test_a_page_says_all_of_it_in_eighty_columns() -> None:
    shown = texts(ROWS, Look())
    assert shown[0].startswith("shop production  3 processes, 0.0 % of a core, 69.0 MB")
    assert shown[0].endswith("12:00:00")
    assert shown[1].split() == ["NODE", "PROCESS", "RUNS", "PID", "UP", "CPU%", "MEMORY", "RESTARTS", "STATE"]
    assert shown[2].split() == ["web1.example.com", "web.1", "6", "90", "1m", "23.0", "MB", "0", "leaving"]
    assert shown[6] == "web2.example.com  out of reach: no connection"
    assert shown[-1].startswith("q quit")
    assert all(width(text) <= 80 for text in shown)
    assert len(shown) == 24


def test_the_whole_state_is_in_a_table_that_nobody_cuts() -> None:
    assert plain_table(ROWS).splitlines()[4].endswith("waiting; ended with status 3, 5 times")


@given(st.integers(1, 200), st.integers(1, 60), st.integers(0, 30), st.integers(0, 40))
def test_no_page_is_larger_than_its_terminal(columns: int, lines: int, count: int, offset: int) -> None:
    many = rows_of(0, "神輿.example.com", [replace(RUNNING, number=number) for number in range(count)], [])
    shown = texts(many, Look(offset=offset), columns, lines)
    assert len(shown) <= lines
    assert all(width(text) <= columns for text in shown)


def test_rows_that_do_not_fit_are_counted_and_scrolled_to() -> None:
    many = rows_of(0, "a", [replace(RUNNING, number=number) for number in range(20)], [])
    shown = texts(many, Look(), lines=10)
    assert "13 more below" in shown[-1]
    down = Look().after("j", 20, room(10)).after("down", 20, room(10))
    assert texts(many, down, lines=10)[2].split()[1] == "web.2"
    end = down.after("end", 20, room(10))
    assert texts(many, end, lines=10)[-2].split()[1] == "web.19"
    assert end.after("down", 20, room(10)) == end
    assert end.after("home", 20, room(10)).offset == 0
    assert Look().after("up", 20, room(10)).offset == 0
    assert Look().after("down", 3, room(10)).offset == 0, "everything is there"
    assert Look().after("page down", 20, room(10)).offset == 7


@pytest.mark.parametrize(
    ("key", "by", "mark"), [("c", "cpu", "CPU%▼"), ("m", "memory", "MEMORY▼"), ("n", "name", "NODE")]
)
def test_a_key_sorts_and_the_heading_says_so(key: str, by: str, mark: str) -> None:
    look = Look(offset=3).after(key, 20, 5)
    assert (look.by, look.offset) == (by, 0)
    assert mark in texts(ROWS, look)[1].split()


def test_q_ends_it_and_other_keys_do_nothing() -> None:
    assert Look().after("q", 1, 1).ended
    assert Look().after("x", 1, 1) == Look()


def test_a_text_is_cut_by_what_it_takes_on_a_terminal() -> None:
    assert fit("神輿", 4) == "神輿"
    assert fit("神輿です", 4) == "神…"
    assert fit("abc", 0) == ""


def test_keys_come_in_pieces_and_unknown_ones_are_passed_over() -> None:
    keys = Keys()
    assert keys.feed(b"q\x1b") == ["q"]
    assert keys.feed(b"[") == []
    assert keys.feed(b"AJ\x1b[6~\x1bOB") == ["up", "j", "page down", "down"]
    assert keys.feed(b"\x1b[99zx")[-1] == "x"
