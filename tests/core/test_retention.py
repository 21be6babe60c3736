"""Retention never removes what may still be run, and never counts a failure as something kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mikoshi.core.retention import Standing, needed, prunable

verdicts = st.sampled_from(["", "running", "done", "failed"])
fleets = st.dictionaries(st.integers(1, 30), verdicts, max_size=15).map(
    lambda found: [Standing(seq, verdict) for seq, verdict in sorted(found.items())]
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Standing], int, int, int, frozenset[int]]:
    standing = draw(fleets)
    seqs = [0, *(one.seq for one in standing)]
    pick = st.sampled_from(seqs)
    return standing, draw(pick), draw(pick), draw(st.integers(0, 6)), frozenset(draw(st.lists(pick, max_size=3)))


@given(situations())
def test_what_may_still_be_run_is_never_pruned(case: tuple[list[Standing], int, int, int, frozenset[int]]) -> None:
    standing, current, stable, keep, protect = case
    pruned = set(prunable(standing, current, stable, keep, protect))
    good = [one.seq for one in standing if one.good]
    previous = [seq for seq in good if seq < current][-1:]
    assert pruned.isdisjoint({current, stable, *protect, *previous, *good[-1:]})
    assert pruned.isdisjoint(needed(standing, current, stable, protect))
    assert pruned <= {one.seq for one in standing}


@given(situations())
def test_enough_good_ones_stay(case: tuple[list[Standing], int, int, int, frozenset[int]]) -> None:
    standing, current, stable, keep, protect = case
    pruned = set(prunable(standing, current, stable, keep, protect))
    good = [one.seq for one in standing if one.good]
    assert pruned.isdisjoint(good[-keep:] if keep else [])
    left = [seq for seq in good if seq not in pruned]
    assert len(left) <= max(keep, 1) + len(needed(standing, current, stable, protect))


@given(situations())
def test_at_most_one_failure_stays_unprotected(case: tuple[list[Standing], int, int, int, frozenset[int]]) -> None:
    standing, current, stable, keep, protect = case
    pruned = set(prunable(standing, current, stable, keep, protect))
    held = needed(standing, current, stable, protect)
    left = [one.seq for one in standing if not one.good and one.seq not in pruned and one.seq not in held]
    best = max((one.seq for one in standing if one.good), default=0)
    assert len(left) <= 1
    assert all(seq > best for seq in left)


@given(situations())
def test_failures_go_first(case: tuple[list[Standing], int, int, int, frozenset[int]]) -> None:
    order = prunable(*case)
    is_good = {one.seq: one.good for one in case[0]}
    kinds = [is_good[seq] for seq in order]
    assert kinds == sorted(kinds)


@given(situations())
def test_pruning_twice_prunes_nothing_more(case: tuple[list[Standing], int, int, int, frozenset[int]]) -> None:
    standing, current, stable, keep, protect = case
    pruned = set(prunable(standing, current, stable, keep, protect))
    left = [one for one in standing if one.seq not in pruned]
    assert prunable(left, current, stable, keep, protect) == ()


def test_failures_do_not_push_good_ones_out() -> None:
    standing = [Standing(seq, "done" if seq <= 3 else "failed") for seq in range(1, 9)]
    assert prunable(standing, 3, 3, 3, frozenset()) == (4, 5, 6, 7)


def test_the_oldest_good_ones_go() -> None:
    standing = [Standing(seq, "done") for seq in range(1, 8)]
    assert prunable(standing, 7, 7, 3, frozenset({2})) == (1, 3, 4)


def test_after_a_rollback_what_was_left_is_still_kept() -> None:
    standing = [Standing(1, "done"), Standing(2, "done"), Standing(3, "done")]
    assert prunable(standing, 3, 3, 1, frozenset()) == (1,)
