"""The probe of one command: when it begins, what it counts, and what it reports at the end."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

from mikoshi.core.errors import DeployFailed, ProbeBudgetExceeded, SiteNotAnswering
from mikoshi.core.events import Event, ProbeBegan, Probed
from mikoshi.core.rollout import Policy
from mikoshi.engine.probing import figures
from mikoshi.engine.probing.load import Load
from mikoshi.engine.probing.sample import UNSEEN, Habit, Sample, judged
from mikoshi.ports.clock import Clock
from mikoshi.ports.web import Answer, Site

BEFORE, DURING, AFTER, ALONE = "before", "during", "after", "alone"
OverBudget = Callable[[ProbeBudgetExceeded], None]


@dataclass(frozen=True)
class Asked:
    """What the probe is to do. `rate` is requests a second; `budget` how many may fail in a rollout, None: any number.

    `quiet` is how many seconds it watches before anything changes and after everything has, and with a budget at least
    after each wave; `limit` is how many one request may take.
    """

    url: str
    rate: float = 20.0
    budget: int | None = None
    header: str = "X-Mikoshi-Seq"
    limit: float = 10.0
    quiet: float = 3.0


class Probe:
    """Asks the site, keeps every sample, and tells who listens when the budget is spent."""

    def __init__(self, asked: Asked, site: Site, clock: Clock, emit: Callable[[Event], None]) -> None:
        self._asked, self._clock, self._emit = asked, clock, emit
        self._load = Load(site, clock, asked.rate, self._taken)
        self._habit = Habit()
        self._samples: list[Sample] = []
        self._marks: list[tuple[str, float]] = []
        self._answered = asyncio.Event()
        self._over: OverBudget | None = None
        self._counted_from: float | None = None
        self._failures: Counter[str] = Counter()
        self._counted = 0
        self._closed = False

    # ── before ─────────────────────────────────────────────────────────────────────────────────────────────

    async def begin(self, *, expected: bool) -> None:
        """Begin to ask, and return when it is known how the site answers while nothing changes.

        `expected`: something runs already. Then raises SiteNotAnswering if every request failed.
        """
        self._habit = Habit() if expected else UNSEEN
        self._start(BEFORE, 0.0)
        await self._clock.sleep(self._asked.quiet)
        if not expected:
            return
        if not self._answered.is_set():
            await self._first_answer()
        if not self._answered.is_set():
            kinds = Counter(sample.failed for sample in self._samples)
            raise SiteNotAnswering(self._asked.url, len(self._samples), dict(kinds))

    def _start(self, phase: str, seconds: float) -> None:
        self._emit(ProbeBegan(self._asked.url, self._asked.rate, seconds))
        self._mark(phase)
        self._load.start()

    async def _first_answer(self) -> None:
        """Wait for the first good answer, or until what was asked up to now has failed."""
        ways = [asyncio.ensure_future(way) for way in (self._answered.wait(), self._load.settled())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    # ── during ─────────────────────────────────────────────────────────────────────────────────────────────

    def gating(self, policy: Policy) -> Policy:
        """The policy of a rollout that this probe can turn back: without a bake there would be nothing to see."""
        if self._asked.budget is None:
            return policy
        return replace(policy, gate=True, bake=max(policy.bake, self._asked.quiet))

    def switching(self) -> None:
        """The first node is about to be changed."""
        if self._marks and self._marks[-1][0] == BEFORE:
            self._mark(DURING)

    def guard(self, over: OverBudget) -> None:
        """From the first call on failures count for the budget; `over` is called once, when it is spent."""
        if self._asked.budget is not None and self._counted_from is None:
            self._over, self._counted_from = over, self._clock.monotonic()

    def release(self) -> None:
        """The rollout is decided: nobody is told any more."""
        self._over = None

    async def settled(self) -> None:
        """Return when every request that has begun by now is over: then its failure has been told."""
        await self._load.settled()

    def _taken(self, began: float, ended: float, answer: Answer) -> None:
        baseline = self._marks[0][0] == BEFORE and not (self._marks[1:] and began >= self._marks[1][1])
        self._habit, sample = judged(self._habit, began, ended, answer, baseline=baseline)
        self._samples.append(sample)
        if not sample.failed:
            self._answered.set()
        if self._over is not None and self._counted_from is not None and began >= self._counted_from:
            self._count(sample, self._over)

    def _count(self, sample: Sample, over: OverBudget) -> None:
        self._counted += 1
        if sample.counts:
            self._failures[sample.failed] += 1
        failed, budget = self._failures.total(), self._asked.budget
        if budget is not None and failed > budget:
            self.release()
            over(ProbeBudgetExceeded(self._asked.url, self._counted, failed, budget, dict(self._failures)))

    # ── the end ────────────────────────────────────────────────────────────────────────────────────────────

    async def alone(self, seconds: float) -> Probed:
        """Ask for so many seconds without any rollout; returns the report, which is told in any case."""
        try:
            self._start(ALONE, seconds)
            await self._clock.sleep(seconds)
            await self._finish()
        finally:
            report = await self.close()
        assert report is not None
        return report

    async def after(self) -> None:
        """Watch a little longer, if anything was changed."""
        if self._marks and self._marks[-1][0] == DURING:
            self._mark(AFTER)
            await self._clock.sleep(self._asked.quiet)
            await self._finish()

    async def _finish(self) -> None:
        self._load.stop()
        await self._load.settled()

    async def close(self) -> Probed | None:
        """End it at once; tells and returns the report, unless there is nothing to report on or it was told before."""
        end = self._clock.monotonic()
        if self._closed:
            return None
        self._closed = True
        still_open = await self._load.close()
        if not self._marks or self._marks[-1][0] == BEFORE:
            return None
        offset = self._clock.now() - self._clock.monotonic()
        report = Probed(
            self._asked.url,
            self._asked.rate,
            self._asked.header,
            figures.phases(self._samples, still_open, self._marks, end),
            figures.spans(self._samples, offset),
        )
        self._emit(report)
        return report

    def _mark(self, phase: str) -> None:
        self._marks.append((phase, self._clock.monotonic()))


@contextlib.asynccontextmanager
async def watched(probe: Probe | None) -> AsyncIterator[None]:
    """A command with a probe: however it ends, the probe watches a little longer if it can, and reports."""
    if probe is None:
        yield
        return
    try:
        try:
            yield
        except DeployFailed:
            await _after(probe)
            raise
        await _after(probe)
    finally:
        await probe.close()


async def _after(probe: Probe) -> None:
    """Watch longer. Who stops the command here stops only this: everything else is done."""
    try:
        await probe.after()
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
