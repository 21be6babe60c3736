"""Samples as figures: percentiles, counts by phase, and which deployment answered when. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from mikoshi.core.events import AnsweredSpan, ProbedPhase
from mikoshi.engine.probing.sample import Sample
from mikoshi.ports.web import NOT_SENT

# A header with more values than a rollout can have names something else, a request perhaps.
MOST_NAMED = 9


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest of the `ordered` values that `percent` of them do not exceed (nearest rank); 0 for no values."""
    if not ordered:
        return 0.0
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def phases(
    samples: Iterable[Sample], still_open: Iterable[float], marks: Sequence[tuple[str, float]], end: float
) -> tuple[ProbedPhase, ...]:
    """The figures of each phase. `marks` are the phases' names and begins in order, `end` is that of the last one.

    A request belongs to the phase in which it began; `still_open` are the begins of those without an answer.
    """
    samples, still_open = list(samples), list(still_open)
    bounds = [*(begin for _, begin in marks), math.inf]
    found = []
    for (name, begin), until in zip(marks, bounds[1:], strict=True):
        within = [sample for sample in samples if begin <= sample.began < until]
        unanswered = sum(begin <= began < until for began in still_open)
        found.append(_phase(name, min(until, end) - begin, within, unanswered))
    return tuple(found)


def _phase(name: str, seconds: float, samples: Sequence[Sample], unanswered: int) -> ProbedPhase:
    failures = [sample for sample in samples if sample.counts]
    times = sorted(sample.ended - sample.began for sample in samples if not sample.failed)
    return ProbedPhase(
        name,
        seconds,
        len(samples) + unanswered,
        dict(Counter(sample.failed for sample in failures)),
        sum(sample.kept for sample in failures),
        sum(sample.client_error for sample in samples),
        sum(sample.early for sample in samples),
        sum(sample.failed == NOT_SENT for sample in samples),
        unanswered,
        percentile(times, 50),
        percentile(times, 95),
        percentile(times, 99),
        percentile(times, 100),
    )


def spans(samples: Iterable[Sample], offset: float) -> tuple[AnsweredSpan, ...]:
    """Which deployments answered from when to when; `offset` makes wall time of monotonic time.

    Each deployment answers from its first answer to its last; where two overlap, both do. Empty if no answer named a
    deployment, or so many that it cannot have been deployments.
    """
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for sample in samples:
        if sample.named:
            first[sample.named] = min(first.get(sample.named, math.inf), sample.ended)
            last[sample.named] = max(last.get(sample.named, -math.inf), sample.ended)
    if not 0 < len(first) <= MOST_NAMED:
        return ()
    names = sorted(first, key=lambda name: first[name])
    moments = sorted({*first.values(), *last.values()})
    pieces = sorted([*((moment, moment) for moment in moments), *pairwise(moments)])
    found: list[AnsweredSpan] = []
    for begin, end in pieces:
        there = tuple(name for name in names if first[name] <= begin and end <= last[name])
        if found and found[-1].deployments == there:
            found[-1] = AnsweredSpan(found[-1].begin, end + offset, there)
        elif there:
            found.append(AnsweredSpan(begin + offset, end + offset, there))
    return tuple(found)
