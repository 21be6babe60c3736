"""The probe of a command: what it demands before, counts during, and tells at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from mikoshi.core.errors import DeployFailed, ProbeBudgetExceeded, SiteNotAnswering
from mikoshi.core.events import Event, ProbeBegan, Probed
from mikoshi.core.rollout import Policy
from mikoshi.engine.probing.probe import Asked, Probe, watched
from mikoshi.ports.web import REFUSED, RESET, TIMEOUT, Answer
from tests.engine.probing.stage import GOOD, HandClock, Script, ScriptedSite, settle, stalled

URL = "http://shop.example.com/"


@dataclass
class Scene:
    """A probe on a clock that is moved by hand, ten requests a second."""

    script: Script
    budget: int | None = None
    clock: HandClock = field(default_factory=HandClock)
    events: list[Event] = field(default_factory=list)
    verdicts: list[ProbeBudgetExceeded] = field(default_factory=list)

    def __post_init__(self) -> None:
        asked = Asked(URL, 10.0, self.budget)
        self.probe = Probe(asked, ScriptedSite(self.clock, self.script), self.clock, self.events.append)

    async def begin(self, *, expected: bool = True, seconds: float = 3.01) -> None:
        """Begin, and let the quiet time pass; raises what `begin` raises."""
        beginning = asyncio.ensure_future(self.probe.begin(expected=expected))
        await self.clock.advance(seconds)
        await settle()
        assert beginning.done()
        await beginning

    def switch(self) -> None:
        """The rollout begins."""
        self.probe.switching()
        self.probe.guard(self.verdicts.append)

    @property
    def report(self) -> Probed:
        """The only report."""
        (report,) = (event for event in self.events if isinstance(event, Probed))
        return report


def play(scene: Scene, doing: Callable[[Scene], Awaitable[None]]) -> Scene:
    async def run() -> None:
        try:
            await doing(scene)
        finally:
            await scene.probe.close()

    asyncio.run(run())
    return scene


def good(_at: float) -> tuple[Answer, float]:
    return GOOD, 0.01


def breaking(at: float) -> tuple[Answer, float]:
    """Good up to just before four seconds, refused from then on."""
    return (GOOD if at < 3.95 else Answer(REFUSED)), 0.01


# ── before ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_site_that_answers_is_watched_for_the_quiet_time() -> None:
    async def doing(scene: Scene) -> None:
        beginning = asyncio.ensure_future(scene.probe.begin(expected=True))
        await scene.clock.advance(2.9)
        assert not beginning.done()
        await scene.clock.advance(0.2)
        await beginning

    assert play(Scene(good), doing).events == [ProbeBegan(URL, 10.0, 0.0)]


@pytest.mark.parametrize(
    ("script", "seconds", "kinds"),
    [(lambda _: (Answer(REFUSED), 0.01), 3.01, {REFUSED: 30}), (stalled, 13.1, {TIMEOUT: 30})],
)
def test_a_site_that_never_answers_is_an_error_with_figures(
    script: Script, seconds: float, kinds: dict[str, int]
) -> None:
    async def doing(scene: Scene) -> None:
        with pytest.raises(SiteNotAnswering) as raised:
            await scene.begin(seconds=seconds)
        assert raised.value.kinds.keys() == kinds.keys()
        assert raised.value.requests >= sum(kinds.values())

    play(Scene(script), doing)


def test_a_slow_site_is_waited_for() -> None:
    async def doing(scene: Scene) -> None:
        beginning = asyncio.ensure_future(scene.probe.begin(expected=True))
        await scene.clock.advance(4.9)
        assert not beginning.done()
        await scene.clock.advance(0.2)
        await beginning

    play(Scene(lambda _: (GOOD, 5.0)), doing)


def test_a_first_deployment_may_find_nobody_there() -> None:
    async def doing(scene: Scene) -> None:
        await scene.begin(expected=False)
        scene.switch()
        await scene.clock.advance(3.0)
        assert not scene.verdicts
        scene.probe._marks.append(("end", scene.clock.at))

    scene = play(Scene(lambda _: (Answer(REFUSED), 0.01), budget=0), doing)
    assert [phase.failed for phase in scene.report.phases] == [{}, {}, {}]
    assert sum(phase.early for phase in scene.report.phases) == sum(phase.requests for phase in scene.report.phases)


def test_after_the_first_good_answer_of_a_first_deployment_failures_count() -> None:
    def script(at: float) -> tuple[Answer, float]:
        return (GOOD if 4.0 <= at < 5.0 else Answer(REFUSED)), 0.01

    async def doing(scene: Scene) -> None:
        await scene.begin(expected=False)
        scene.switch()
        await scene.clock.advance(1.9)
        assert not scene.verdicts
        await scene.clock.advance(0.5)
        assert len(scene.verdicts) == 1

    play(Scene(script, budget=0), doing)


# ── the budget ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_failure_more_than_the_budget_is_told_once_with_figures() -> None:
    async def doing(scene: Scene) -> None:
        await scene.begin()
        scene.switch()
        await scene.clock.advance(3.0)

    (verdict,) = play(Scene(breaking, budget=2), doing).verdicts
    assert (verdict.failed, verdict.budget, verdict.kinds) == (3, 2, {REFUSED: 3})
    assert verdict.requests == 12


def test_within_the_budget_or_without_one_nobody_is_told() -> None:
    async def doing(scene: Scene) -> None:
        await scene.begin()
        scene.switch()
        await scene.clock.advance(1.35)

    assert play(Scene(breaking, budget=4), doing).verdicts == []
    assert len(play(Scene(breaking, budget=3), doing).verdicts) == 1
    assert play(Scene(breaking), doing).verdicts == []


def test_what_began_before_the_first_switch_does_not_count() -> None:
    def script(at: float) -> tuple[Answer, float]:
        return (Answer(TIMEOUT), 10.0) if 2.0 < at < 3.0 else (GOOD, 0.01)

    async def doing(scene: Scene) -> None:
        await scene.begin()
        scene.switch()
        await scene.clock.advance(12.0)
        scene.probe.release()

    scene = play(Scene(script, budget=0), doing)
    assert scene.verdicts == []
    assert scene.report.phases[0].failed == {TIMEOUT: 9}


def test_what_a_node_does_while_it_goes_back_decides_nothing() -> None:
    async def doing(scene: Scene) -> None:
        await scene.begin()
        scene.switch()
        scene.probe.release()
        await scene.clock.advance(3.0)

    assert play(Scene(breaking, budget=0), doing).verdicts == []


def test_a_failure_is_told_before_it_is_said_that_all_is_settled() -> None:
    def script(at: float) -> tuple[Answer, float]:
        return (Answer(RESET), 2.0) if at > 3.2 else (GOOD, 0.01)

    async def doing(scene: Scene) -> None:
        await scene.begin()
        scene.switch()
        await scene.clock.advance(0.4)
        asking = asyncio.ensure_future(scene.probe.settled())
        await scene.clock.advance(2.5)
        assert asking.done()
        assert len(scene.verdicts) == 1

    play(Scene(script, budget=0), doing)


def test_only_with_a_budget_the_rollout_has_a_gate_and_time_to_see_something() -> None:
    assert Scene(good).probe.gating(Policy()) == Policy()
    assert Scene(good, budget=0).probe.gating(Policy()) == Policy(gate=True, bake=3.0)
    assert Scene(good, budget=5).probe.gating(Policy(bake=30.0)) == Policy(gate=True, bake=30.0)


# ── the report ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def rolled_out(scene: Scene, *, fails: bool = False) -> None:
    async with watched(scene.probe):
        await scene.begin()
        scene.switch()
        await scene.clock.advance(2.0)
        waiting = asyncio.ensure_future(scene.clock.advance(3.2))
        if fails:
            raise DeployFailed(8, 6, [], [], 7, [])
    await waiting


def test_the_report_has_the_three_phases_and_who_answered_when() -> None:
    def script(at: float) -> tuple[Answer, float]:
        return Answer("", 200, "7" if at < 4.0 else "8"), 0.01

    report = play(Scene(script), rolled_out).report
    assert [phase.name for phase in report.phases] == ["before", "during", "after"]
    assert [round(phase.seconds) for phase in report.phases] == [3, 2, 3]
    old, new = report.spans
    assert (old.deployments, round(old.begin)) == (("7",), 1_000_000)
    assert (new.deployments, round(new.begin)) == (("8",), 1_000_004)


def test_a_rollout_that_fails_is_reported_to_the_end() -> None:
    async def doing(scene: Scene) -> None:
        with pytest.raises(DeployFailed):
            await rolled_out(scene, fails=True)

    report = play(Scene(breaking), doing).report
    assert [phase.name for phase in report.phases] == ["before", "during", "after"]
    assert report.phases[1].failed == {REFUSED: 11}


def test_where_nothing_was_switched_there_is_nothing_to_report() -> None:
    async def doing(scene: Scene) -> None:
        async with watched(scene.probe):
            await scene.begin()

    assert play(Scene(good), doing).events == [ProbeBegan(URL, 10.0, 0.0)]


def stop_at(scene: Scene, seconds: float) -> Callable[[], Awaitable[bool]]:
    """Run a rollout and cancel it after so long; whether it came to its end all the same."""

    async def run() -> bool:
        async def rollout() -> bool:
            async with watched(scene.probe):
                await scene.probe.begin(expected=True)
                scene.switch()
                await scene.clock.sleep(2.0)
            return True

        task = asyncio.ensure_future(rollout())
        await scene.clock.advance(seconds)
        task.cancel()
        await settle()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        return ended is True

    return run


def test_a_rollout_that_is_stopped_reports_what_was_seen_and_what_is_open() -> None:
    scene = Scene(lambda at: (GOOD, 0.01) if at < 4.0 else (Answer(TIMEOUT), 10.0))
    assert asyncio.run(stop_at(scene, 4.55)()) is False  # type: ignore[arg-type]
    assert [phase.name for phase in scene.report.phases] == ["before", "during"]
    assert scene.report.phases[1].open == 6


def test_who_stops_it_after_the_rollout_stops_the_watching_only() -> None:
    scene = Scene(good)
    assert asyncio.run(stop_at(scene, 6.0)()) is True  # type: ignore[arg-type]
    assert [phase.name for phase in scene.report.phases] == ["before", "during", "after"]


def test_alone_it_asks_for_so_long_and_reports() -> None:
    async def doing(scene: Scene) -> None:
        asking = asyncio.ensure_future(scene.probe.alone(5.0))
        await scene.clock.advance(5.2)
        await asking

    scene = play(Scene(breaking), doing)
    (phase,) = scene.report.phases
    assert (phase.name, phase.requests, phase.failed) == ("alone", 50, {REFUSED: 10})
