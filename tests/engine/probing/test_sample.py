"""What counts as a failure: it depends on how the site has answered before."""

from __future__ import annotations

from mikoshi.engine.probing.sample import UNSEEN, Habit, Sample, judged
from mikoshi.ports.web import CLIENT_ERROR, NOT_SENT, REFUSED, SERVER_ERROR, Answer

GOOD, MISSING, SICK, NOBODY = Answer("", 200), Answer("", 404), Answer(SERVER_ERROR, 503), Answer(REFUSED)


def judge(habit: Habit, baseline: list[Answer], *then: Answer) -> list[Sample]:
    """One answer a second: those of the baseline, then others."""
    samples = []
    for at, answer in enumerate([*baseline, *then]):
        habit, sample = judged(habit, at, at + 0.5, answer, baseline=at < len(baseline))
        samples.append(sample)
    return samples


def test_what_fails_counts_at_any_time_where_something_runs_already() -> None:
    assert [sample.counts for sample in judge(Habit(), [NOBODY, GOOD], SICK, GOOD)] == [True, False, True, False]


def test_before_a_first_deployment_answers_nothing_counts() -> None:
    samples = judge(UNSEEN, [NOBODY, NOBODY], NOBODY, GOOD, NOBODY)
    assert [sample.counts for sample in samples] == [False, False, False, False, True]
    assert [sample.early for sample in samples] == [True, True, True, False, False]


def test_a_failure_that_began_before_the_first_good_answer_is_early_even_if_it_is_told_later() -> None:
    habit, _ = judged(UNSEEN, 5.0, 6.0, GOOD, baseline=False)
    _, late = judged(habit, 4.0, 14.0, NOBODY, baseline=False)
    assert late.early
    assert not late.counts


def test_status_4xx_is_a_failure_only_where_the_site_used_to_answer_better() -> None:
    assert [sample.failed for sample in judge(Habit(), [GOOD], MISSING)] == ["", CLIENT_ERROR]
    always = judge(Habit(), [MISSING], MISSING, MISSING)
    assert [(sample.failed, sample.client_error) for sample in always] == [("", True)] * 3
    mixed = judge(Habit(), [GOOD, MISSING], MISSING)
    assert [sample.failed for sample in mixed] == ["", "", ""]


def test_what_was_not_sent_is_no_failure_of_the_site() -> None:
    (sample,) = judge(Habit(), [], Answer(NOT_SENT))
    assert sample.failed == NOT_SENT
    assert not sample.counts
    assert not judge(UNSEEN, [Answer(NOT_SENT)])[0].early
