"""One request of the probe with the judgement on it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mikoshi.ports.web import CLIENT_ERROR, NOT_SENT, Answer


@dataclass(frozen=True, slots=True)
class Sample:
    """A request that is over; `began` and `ended` in seconds of the monotonic clock.

    `failed` is one of ports.web.KINDS or "". An `early` one failed before the site answered at all: it counts as no
    failure. `client_error`: 400 to 499, and no failure.
    """

    began: float
    ended: float
    failed: str = ""
    early: bool = False
    client_error: bool = False
    named: str = ""
    kept: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is a failure that counts; what was not sent says nothing of the site."""
        return bool(self.failed) and self.failed != NOT_SENT and not self.early


@dataclass(frozen=True)
class Habit:
    """How the site has answered so far, which decides what counts as a failure.

    `since`: when it first answered below 500 (-inf: it is expected to answer, inf: it has not yet). `better`: it has
    answered below 400. `refuses`: it answered 400 to 499 before anything was changed, so that this is its way.
    """

    since: float = -math.inf
    better: bool = False
    refuses: bool = False


UNSEEN = Habit(since=math.inf)


def judged(habit: Habit, began: float, ended: float, answer: Answer, *, baseline: bool) -> tuple[Habit, Sample]:
    """The answer as a sample, and the habit with it. `baseline`: nothing was changed yet when it began."""
    client_error = not answer.failed and 400 <= answer.status < 500
    failed = CLIENT_ERROR if client_error and habit.better and not habit.refuses and not baseline else answer.failed
    sample = Sample(
        began, ended, failed,
        early=bool(failed) and failed != NOT_SENT and began < habit.since,
        client_error=client_error and not failed,
        named=answer.named,
        kept=answer.kept,
    )  # fmt: skip
    if failed:
        return habit, sample
    habit = replace(
        habit,
        since=min(habit.since, ended),
        better=habit.better or not client_error,
        refuses=habit.refuses or (client_error and baseline),
    )
    return habit, sample
