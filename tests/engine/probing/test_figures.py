"""Percentiles, phases, and the timeline of who answered."""

from __future__ import annotations

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from mikoshi.core.events import AnsweredSpan, ProbedPhase
from mikoshi.engine.probing.figures import MOST_NAMED, percentile, phases, spans
from mikoshi.engine.probing.sample import Sample
from mikoshi.ports.web import NOT_SENT, RESET, TIMEOUT

TIMES = st.lists(st.floats(0, 100), min_size=1).map(sorted)
PERCENTS = st.floats(0, 100)


def test_percentiles_are_values_that_occurred() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert [percentile(hundred, percent) for percent in (50, 95, 99, 100)] == [50.0, 95.0, 99.0, 100.0]
    assert [percentile([3.0], percent) for percent in (0, 50, 100)] == [3.0, 3.0, 3.0]
    assert percentile([1.0, 2.0], 50) == 1.0
    assert percentile([], 99) == 0.0


@given(TIMES, PERCENTS, PERCENTS)
def test_a_percentile_is_one_of_the_values_and_grows_with_the_percentage(
    times: list[float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    assert percentile(times, low) in times
    assert percentile(times, low) <= percentile(times, high)


@given(TIMES, PERCENTS)
def test_so_many_percent_do_not_exceed_a_percentile_and_it_is_the_smallest_such_value(
    times: list[float], percent: float
) -> None:
    found = percentile(times, percent)
    assert sum(time <= found for time in times) >= len(times) * percent / 100
    assert sum(time < found for time in times) <= max(0, math.ceil(len(times) * percent / 100) - 1)


def phase_named(found: tuple[ProbedPhase, ...], name: str) -> ProbedPhase:
    return next(phase for phase in found if phase.name == name)


def test_a_request_belongs_to_the_phase_in_which_it_began() -> None:
    samples = [
        Sample(1.0, 1.2), Sample(9.9, 20.0, TIMEOUT), Sample(10.0, 10.4), Sample(10.1, 10.2, RESET, kept=True),
        Sample(10.2, 10.2, NOT_SENT), Sample(11.0, 11.1, client_error=True), Sample(20.0, 20.1, RESET, early=True),
    ]  # fmt: skip
    marks = (("before", 0.0), ("during", 10.0), ("after", 20.0))
    found = phases(samples, [10.5, 22.0], marks, 23.0)
    before, during, after = found
    assert (before.requests, before.failed, before.seconds) == (2, {TIMEOUT: 1}, 10.0)
    assert (during.requests, during.failed, during.failed_kept) == (5, {RESET: 1}, 1)
    assert (during.not_sent, during.client_errors, during.open) == (1, 1, 1)
    assert (round(during.p50, 6), round(during.max, 6)) == (0.1, 0.4), "failures have no part in the times"
    assert (after.requests, after.failed, after.early, after.open, after.seconds) == (2, {}, 1, 1, 3.0)


SAMPLES = st.builds(
    lambda began, took, failed, early, kept: Sample(began, began + took, failed, early=early, kept=kept),
    st.floats(0, 30), st.floats(0, 10), st.sampled_from(["", RESET, TIMEOUT, NOT_SENT]), st.booleans(), st.booleans(),
)  # fmt: skip


@given(st.lists(SAMPLES), st.lists(st.floats(0, 30)), st.lists(st.floats(0, 30), min_size=1, max_size=3).map(sorted))
def test_no_request_is_lost_or_counted_twice(
    samples: list[Sample], still_open: list[float], begins: list[float]
) -> None:
    begins[0] = 0.0
    found = phases(samples, still_open, [(str(index), begin) for index, begin in enumerate(begins)], 40.0)
    assert sum(phase.requests for phase in found) == len(samples) + len(still_open)
    assert sum(sum(phase.failed.values()) for phase in found) == sum(sample.counts for sample in samples)
    assert sum(phase.open for phase in found) == len(still_open)


# ── who answered when ──────────────────────────────────────────────────────────────────────────────────────────────


def answered(**moments: tuple[float, ...]) -> list[Sample]:
    return [Sample(at, at, named=name.strip("_")) for name, times in moments.items() for at in times]


def test_one_deployment_then_both_then_the_other() -> None:
    samples = answered(_7=(0.0, 1.0, 4.0), _8=(3.0, 4.5, 9.0))
    assert spans(samples, 100.0) == (
        AnsweredSpan(100.0, 103.0, ("7",)),
        AnsweredSpan(103.0, 104.0, ("7", "8")),
        AnsweredSpan(104.0, 109.0, ("8",)),
    )


def test_a_gap_in_which_nobody_answered_stays_a_gap() -> None:
    assert spans(answered(_7=(0.0, 2.0), _8=(5.0, 9.0)), 0.0) == (
        AnsweredSpan(0.0, 2.0, ("7",)),
        AnsweredSpan(5.0, 9.0, ("8",)),
    )


def test_what_came_and_went_back_stands_between() -> None:
    assert spans(answered(_7=(0.0, 9.0), _8=(4.0,)), 0.0) == (
        AnsweredSpan(0.0, 4.0, ("7",)),
        AnsweredSpan(4.0, 4.0, ("7", "8")),
        AnsweredSpan(4.0, 9.0, ("7",)),
    )


def test_without_a_name_or_with_one_for_each_request_nothing_is_known() -> None:
    assert spans([Sample(0.0, 1.0)], 0.0) == ()
    assert spans([Sample(0.0, 1.0, named=str(number)) for number in range(MOST_NAMED + 1)], 0.0) == ()


@given(st.lists(st.tuples(st.integers(0, 20), st.sampled_from("789")), min_size=1))
def test_every_answer_lies_in_a_span_that_names_it_and_spans_follow_one_another(answers: list[tuple[int, str]]) -> None:
    found = spans([Sample(float(at), float(at), named=name) for at, name in answers], 0.0)
    for at, name in answers:
        assert any(span.begin <= at <= span.end and name in span.deployments for span in found)
    for one, following in itertools.pairwise(found):
        assert one.end <= following.begin
        assert one.deployments != following.deployments or one.end < following.begin
