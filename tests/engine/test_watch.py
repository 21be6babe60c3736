"""Nodes that are looked at: one that goes away says so and comes back, and holds nobody up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from mikoshi.core.address import Address
from mikoshi.core.errors import HostUnreachable
from mikoshi.engine.fleet import Fleet, Target
from mikoshi.engine.watch import Watch
from tests.engine.shaky import Hasty, Shaky
from tests.node.conftest import poll
from tests.node.runner.ground import Site

NODES = ("a", "b")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "nodes" / "a")
    try:
        yield made
    finally:
        made.close()


@contextlib.asynccontextmanager
async def watching(root: Path) -> AsyncIterator[tuple[Watch, Fleet, Shaky]]:
    transport = Shaky(root / "cache")
    addresses = tuple(Address(name, label=name) for name in NODES)
    target = Target("shop", "production", addresses, NODES[0], str(root / "nodes"), "")
    async with asyncio.timeout(60), Fleet(target, transport, Hasty(), lambda _event: None) as fleet:
        yield Watch(fleet, NODES, 0.02), fleet, transport


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
        await asyncio.sleep(0.01)


def test_two_readings_show_what_was_there_before(tmp_path: Path, site: Site) -> None:
    async def doing() -> None:
        async with watching(tmp_path) as (watch, _, _):
            await watch.once()
            (before,) = watch.seen["a"].processes
            await watch.once()
            (now,) = watch.seen["a"].processes
            assert watch.seen["a"].before == (before,)
            assert (now.pid, now.name) == (before.pid, "web.1")
            assert now.up > before.up
            assert watch.seen["b"].processes == ()

    site.deploy()
    poll(site.processes)
    asyncio.run(doing())


def test_a_node_that_is_away_says_so_and_comes_back_by_itself(tmp_path: Path, site: Site) -> None:
    async def doing() -> None:
        async with watching(tmp_path) as (watch, fleet, transport):
            keeping = [asyncio.create_task(watch.keep(node)) for node in NODES]
            await until(lambda: len(watch.seen) == 2)
            transport.away.add("a")
            await fleet.sessions["a"].channel.close()
            await until(lambda: isinstance(watch.seen["a"].error, HostUnreachable))
            assert watch.seen["a"].processes == ()
            assert watch.seen["b"].error is None
            transport.away.clear()
            await until(lambda: watch.seen["a"].processes)
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)

    site.deploy()
    asyncio.run(doing())
