"""What a process is, what it uses, and in which order rows stand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.cli.watching.views import CRASHING, LEAVING, NEW, RUNNING, STOPPING, TRIAL, UNSTARTED

from mikoshi.cli.processes import how_long, trouble, whole_state
from mikoshi.cli.watching import rows
from mikoshi.cli.watching.rows import cpu_percent, ordered, rows_of, said, tone
from mikoshi.core.messages import ProcessView


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (7200, "2h"), (400 * 86400, "400d")]
)
def test_a_time_that_goes_on_takes_four_columns(seconds: float, text: str) -> None:
    assert how_long(seconds) == text


@pytest.mark.parametrize(
    ("view", "state", "colour"),
    [
        (RUNNING, "running", rows.PLAIN),
        (NEW, "running", rows.NEW),
        (LEAVING, "leaving", rows.LEAVING),
        (STOPPING, "stopping", rows.LEAVING),
        (TRIAL, "trial", rows.TRIAL),
        (CRASHING, "waiting; ended with status 3, 5 times", rows.TROUBLE),
        (replace(CRASHING, ends=1, last_status=-9), "waiting; was killed by SIGKILL", rows.TROUBLE),
        (UNSTARTED, "waiting; cannot be started: no room, 5 times", rows.TROUBLE),
        (replace(CRASHING, ends=0, last_status=None), "waiting", rows.PLAIN),
        (replace(NEW, ends=2, last_status=1), "running; ended with status 1, 2 times", rows.TROUBLE),
    ],
)  # fmt: skip
def test_a_process_is_told_by_words_and_by_colour(view: ProcessView, state: str, colour: str) -> None:
    assert (whole_state(view), tone(view)) == (state, colour)


def test_one_that_ended_long_ago_is_in_no_trouble() -> None:
    assert trouble(replace(RUNNING, ends=1, last_status=1)) == ""


def test_use_is_what_came_since_the_last_reading_by_the_node_s_own_clock() -> None:
    later = replace(RUNNING, up=102.0, cpu=6.0)
    assert cpu_percent(later, [RUNNING]) == 50.0
    assert cpu_percent(later, []) is None
    assert cpu_percent(replace(later, pid=101), [RUNNING]) is None, "another process"
    assert cpu_percent(replace(later, generation=4), [RUNNING]) is None
    assert cpu_percent(RUNNING, [RUNNING]) is None, "the same reading"
    assert cpu_percent(replace(later, cpu=4.0), [RUNNING]) == 0.0, "a child took its seconds with it"
    assert cpu_percent(CRASHING, [CRASHING]) is None


def test_rows_stand_by_host_as_configured_or_by_use() -> None:
    first = rows_of(0, "z", [replace(RUNNING, up=102.0, cpu=5.1, memory=1)], [RUNNING])
    second = rows_of(1, "a", [replace(NEW, memory=2), replace(RUNNING, up=102.0, cpu=6.0, memory=3)], [RUNNING])
    lost = said(2, "m", "out of reach")

    def order(by: str) -> list[tuple[str, int]]:
        return [(row.node, row.view.pid if row.view else 0) for row in ordered([lost, *second, *first], by)]

    assert order("name") == [("z", 100), ("a", 100), ("a", 120), ("m", 0)]
    assert order("cpu") == [("m", 0), ("a", 100), ("z", 100), ("a", 120)]
    assert order("memory") == [("m", 0), ("a", 100), ("a", 120), ("z", 100)]


def test_a_node_without_processes_has_its_row() -> None:
    assert [row.state for row in rows_of(0, "a", [], [])] == ["no process"]
