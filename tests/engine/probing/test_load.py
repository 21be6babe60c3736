"""The open loop, on a clock that is moved by hand: the rate is kept whatever the site does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from mikoshi.engine.probing.load import Load
from mikoshi.ports.web import NOT_SENT, Answer
from tests.engine.probing.stage import HandClock, Script, ScriptedSite, settle, stalled

Taken = list[tuple[float, float, Answer]]


def loaded(
    doing: Callable[[Load, HandClock, ScriptedSite], Awaitable[None]], script: Script, bound: int = 256
) -> Taken:
    """Run `doing` with a load of 10 requests a second that has just been started; what was taken."""
    taken: Taken = []

    async def run() -> None:
        clock = HandClock()
        site = ScriptedSite(clock, script)
        load = Load(site, clock, 10.0, lambda *what: taken.append(what), bound)
        load.start()
        try:
            await doing(load, clock, site)
        finally:
            await load.close()
        assert site.closed

    asyncio.run(run())
    return taken


@pytest.mark.parametrize("seconds", [0.001, 0.1, 7.0])
def test_requests_begin_when_they_are_due_however_long_answers_take(seconds: float) -> None:
    async def doing(_load: Load, clock: HandClock, site: ScriptedSite) -> None:
        await clock.advance(5.05)
        assert site.began == pytest.approx([number / 10 for number in range(51)])
        assert site.fresh[:4] == [True, False, True, False]

    loaded(doing, lambda _: (Answer(), seconds))


def test_a_request_too_many_is_taken_as_not_sent() -> None:
    async def doing(_load: Load, clock: HandClock, site: ScriptedSite) -> None:
        await clock.advance(1.05)
        assert len(site.began) == 3

    taken = loaded(doing, stalled, bound=3)
    assert [answer for _, _, answer in taken] == [Answer(NOT_SENT)] * 8


def test_a_deployer_that_was_held_up_catches_up_and_leaves_none_out() -> None:
    async def doing(_load: Load, clock: HandClock, site: ScriptedSite) -> None:
        await clock.advance(0.95)
        clock.at += 2.0
        await clock.advance(0.1)
        assert len(site.began) == 31

    loaded(doing, lambda _: (Answer(), 0.01))


def test_settled_waits_for_what_had_begun_and_for_nothing_else() -> None:
    async def doing(load: Load, clock: HandClock, _site: ScriptedSite) -> None:
        await clock.advance(0.35)
        waiting = asyncio.ensure_future(load.settled())
        await clock.advance(9.9)
        assert not waiting.done()
        await clock.advance(0.1)
        await settle()
        assert waiting.done()

    taken = loaded(doing, stalled)
    assert len(taken) == 4


def test_who_stops_waiting_stops_no_request() -> None:
    async def doing(load: Load, clock: HandClock, _site: ScriptedSite) -> None:
        await clock.advance(0.05)
        waiting = asyncio.ensure_future(load.settled())
        await settle()
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await clock.advance(10.0)

    taken = loaded(doing, stalled)
    assert (taken[0][0], taken[0][1]) == (0.0, 10.0)


def test_at_the_end_what_has_no_answer_is_named() -> None:
    async def doing(load: Load, clock: HandClock, _site: ScriptedSite) -> None:
        await clock.advance(0.25)
        assert await load.close() == pytest.approx([0.0, 0.1, 0.2])

    assert loaded(doing, stalled) == []


def test_an_error_of_our_own_is_not_swallowed() -> None:
    def broken(_at: float) -> tuple[Answer, float]:
        raise ZeroDivisionError

    async def doing(load: Load, clock: HandClock, _site: ScriptedSite) -> None:
        await clock.advance(0.05)
        with pytest.raises(ZeroDivisionError):
            await load.settled()

    loaded(doing, broken)
