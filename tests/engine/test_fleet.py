"""Leases over real engines on this machine: renewed while held, lost when not, and never taken back by a latecomer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mikoshi.adapters.clock import SystemClock
from mikoshi.adapters.transports.local import LocalTransport
from mikoshi.core.address import Address
from mikoshi.core.errors import Fenced, Held, HostTimeout, InfrastructureError, LeaseHeld, MikoshiError
from mikoshi.core.events import Event
from mikoshi.core.messages import Acquire, History, UpdateRecord
from mikoshi.engine.fleet import Fleet, Target

NODES = ("a", "b")
SHORT = 0.4


class Asleep(SystemClock):
    """The clock of a deployer that was stopped: whatever it waits for does not come."""

    async def sleep(self, seconds: float) -> None:
        """Never return."""
        await asyncio.Event().wait()


def fleet_of(root: Path, clock: SystemClock, events: list[Event]) -> Fleet:
    addresses = tuple(Address(name, label=name) for name in NODES)
    target = Target("shop", "production", addresses, NODES[0], str(root / "nodes"), "")
    return Fleet(target, LocalTransport(root / "cache"), clock, events.append)


def with_two(root: Path, clock: SystemClock, doing: Callable[[Fleet, Fleet], Awaitable[None]]) -> list[Event]:
    """Run `doing` with two deployers' fleets, connected; the first one has `clock`. The first one's events."""
    events: list[Event] = []

    async def run() -> None:
        async with fleet_of(root, clock, events) as first, fleet_of(root, SystemClock(), []) as second:
            await first.connect()
            await second.connect()
            assert not first.errors
            assert not second.errors
            await doing(first, second)

    asyncio.run(run())
    return events


async def until_held(fleet: Fleet) -> None:
    """Try for the leases until they are to be had, and give them back."""
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(LeaseHeld):
                async with fleet.leases("second", "later"):
                    return
            await asyncio.sleep(0.02)


def test_a_second_deployer_is_refused_and_keeps_nothing(tmp_path: Path) -> None:
    async def doing(first: Fleet, second: Fleet) -> None:
        async with first.leases("first", "spring"):
            with pytest.raises(LeaseHeld) as caught:
                async with second.leases("second", "mine"):
                    raise AssertionError("two deployers at once")
            assert (caught.value.holder, caught.value.message, caught.value.node) == ("first", "spring", "a")
        async with second.leases("second", "mine"):
            pass

    with_two(tmp_path, SystemClock(), doing)


def test_a_lease_is_renewed_for_as_long_as_it_is_held(tmp_path: Path) -> None:
    async def doing(first: Fleet, second: Fleet) -> None:
        clock = SystemClock()
        async with first.leases("first", "long", ttl=SHORT):
            end = clock.monotonic() + 3 * SHORT
            while clock.monotonic() < end:
                with pytest.raises(LeaseHeld):
                    async with second.leases("second", "mine"):
                        raise AssertionError("a living lease was taken over")

    with_two(tmp_path, SystemClock(), doing)


def test_a_node_that_does_not_answer_costs_the_others_no_lease_and_keeps_nobody_from_leaving(tmp_path: Path) -> None:
    async def doing(first: Fleet, second: Fleet) -> None:
        stopped, other = NODES
        clock = SystemClock()
        async with asyncio.timeout(20), first.leases("first", "long", ttl=SHORT):
            lease = json.loads((tmp_path / "nodes" / stopped / "shop/production/lease").read_bytes())
            os.kill(lease["engine"]["pid"], signal.SIGSTOP)
            end = clock.monotonic() + 3 * SHORT
            while clock.monotonic() < end:
                with pytest.raises(LeaseHeld):
                    await second.ask(other, Acquire("second", "mine", 1.0))

    with_two(tmp_path, SystemClock(), doing)


def test_an_engine_that_is_silent_for_as_long_as_its_lease_is_given_up(tmp_path: Path) -> None:
    async def doing(first: Fleet, _second: Fleet) -> None:
        async with asyncio.timeout(20), first.leases("first", "long", ttl=SHORT):
            lease = json.loads((tmp_path / "nodes" / NODES[0] / "shop/production/lease").read_bytes())
            os.kill(lease["engine"]["pid"], signal.SIGSTOP)
            with pytest.raises(HostTimeout) as caught:
                await first.ask(NODES[0], History())
            assert caught.value.node == NODES[0]

    with_two(tmp_path, SystemClock(), doing)


def test_a_sleeper_loses_its_lease_and_can_change_nothing_more(tmp_path: Path) -> None:
    async def doing(first: Fleet, second: Fleet) -> None:
        async with first.leases("first", "sleeps", ttl=SHORT):
            await until_held(second)
            for node in NODES:
                with pytest.raises((Held, InfrastructureError)):
                    await first.ask(node, UpdateRecord(1, "done"))

    with_two(tmp_path, Asleep(), doing)


def test_a_latecomer_is_fenced_out_even_over_a_new_session(tmp_path: Path) -> None:
    async def doing(first: Fleet, second: Fleet) -> None:
        async with first.leases("the same name", "sleeps", ttl=SHORT):
            await until_held(second)
            with pytest.raises(Fenced) as caught:
                await first.ask_again(NODES[0], UpdateRecord(1, "done"))
            assert caught.value.current > caught.value.token + 1
        async with second.leases("second", "what the latecomer took is free again"):
            pass

    with_two(tmp_path, Asleep(), doing)


def test_a_broken_session_is_opened_again_and_has_the_lease(tmp_path: Path) -> None:
    async def doing(first: Fleet, second: Fleet) -> None:
        async with first.leases("first", "cut", ttl=60.0):
            await first.sessions[NODES[0]].channel.close()
            with pytest.raises(MikoshiError, match="DeploymentUnknown"):
                await first.ask_again(NODES[0], UpdateRecord(1, "done"))
            with pytest.raises(LeaseHeld) as caught:
                async with second.leases("second", "mine"):
                    raise AssertionError("the lease was lost with the session")
            assert (caught.value.holder, caught.value.message) == ("first", "cut")
            assert first.usage().connects == len(NODES) + 1

    with_two(tmp_path, SystemClock(), doing)
