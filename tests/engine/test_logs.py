"""Logs of several nodes over real engines: merged, followed, and picked up again where a connection was lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from mikoshi.core.address import Address
from mikoshi.engine.fleet import Fleet, Target
from mikoshi.engine.loglines import Line
from mikoshi.engine.logs import Back, Lost, News, Reading
from tests.engine.shaky import Hasty, Shaky

NODES = ("a", "b")


def log(root: Path, node: str) -> Path:
    """The log of the process web on a node."""
    file = root / "nodes" / node / "shop" / "production" / "log" / "web.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def write(root: Path, node: str, *seconds: int) -> None:
    """Print a line at each of these seconds."""
    with log(root, node).open("a") as file:
        file.writelines(f"2026-01-01T00:00:{second:02d}.000Z web.1@1 {node} {second}\n" for second in seconds)


@contextlib.asynccontextmanager
async def reading(root: Path, lines: int) -> AsyncIterator[tuple[Reading, Fleet, Shaky]]:
    made, transport = Reading("", lines), Shaky(root / "cache")
    addresses = tuple(Address(name, label=name) for name in NODES)
    target = Target("shop", "production", addresses, NODES[0], str(root / "nodes"), "")
    async with asyncio.timeout(30), Fleet(target, transport, Hasty(), made.heard) as fleet:
        yield made, fleet, transport


async def until(news: AsyncIterator[News], wanted: Callable[[News], bool]) -> list[News]:
    """What comes, up to what is wanted."""
    found = []
    async for one in news:
        found.append(one)
        if wanted(one):
            return found
    raise AssertionError(found)


def texts(news: list[News] | list[Line]) -> list[str]:
    return [one.text for one in news if isinstance(one, Line)]


def run(doing: Awaitable[None]) -> None:
    async def main() -> None:
        await doing

    asyncio.run(main())


def test_the_last_lines_of_all_nodes_are_merged_by_time(tmp_path: Path) -> None:
    async def doing() -> None:
        write(tmp_path, "a", 1, 3, 5)
        write(tmp_path, "b", 2, 4)
        async with reading(tmp_path, 4) as (made, fleet, _):
            assert texts(await made.last(fleet, NODES)) == ["b 2", "a 3", "b 4", "a 5"]

    run(doing())


def test_following_goes_on_behind_the_last_lines_without_one_twice(tmp_path: Path) -> None:
    async def doing() -> None:
        write(tmp_path, "a", 1, 2, 2)
        async with reading(tmp_path, 2) as (made, fleet, _):
            assert texts(await made.last(fleet, NODES)) == ["a 2", "a 2"]
            write(tmp_path, "a", 2, 3)
            news = made.follow(fleet, NODES)
            assert texts(await until(news, lambda one: isinstance(one, Line) and one.text == "a 3")) == ["a 2", "a 3"]
            write(tmp_path, "b", 1, 4)
            assert texts(await until(news, lambda one: isinstance(one, Line) and one.text == "b 4")) == ["b 1", "b 4"]
            await news.aclose()

    run(doing())


def test_a_lost_node_is_named_once_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async def doing() -> None:
        write(tmp_path, "a", 1, 2)
        write(tmp_path, "b", 1)
        async with reading(tmp_path, 10) as (made, fleet, transport):
            await made.last(fleet, NODES)
            news = made.follow(fleet, NODES)
            write(tmp_path, "a", 3)
            await until(news, lambda one: isinstance(one, Line) and one.text == "a 3")
            transport.away.add("a")
            await fleet.sessions["a"].channel.close()
            lost = await until(news, lambda one: isinstance(one, Lost))
            assert [one.node for one in lost if isinstance(one, Lost)] == ["a"]
            write(tmp_path, "a", 4)
            write(tmp_path, "b", 5)
            others = await until(news, lambda one: isinstance(one, Line) and one.text == "b 5")
            assert not [one for one in others if isinstance(one, Lost)], "said once"
            transport.away.clear()
            write(tmp_path, "a", 6)
            back = await until(news, lambda one: isinstance(one, Line) and one.text == "a 6")
            assert back[0] == Back("a")
            assert texts(back) == ["a 4", "a 6"]
            await news.aclose()

    run(doing())


def test_a_node_that_is_away_at_first_joins_later(tmp_path: Path) -> None:
    async def doing() -> None:
        write(tmp_path, "a", 1)
        write(tmp_path, "b", 2)
        async with reading(tmp_path, 10) as (made, fleet, transport):
            transport.away.add("b")
            assert texts(await made.last(fleet, NODES)) == ["a 1"]
            assert list(fleet.errors) == ["b"]
            news = made.follow(fleet, NODES)
            transport.away.clear()
            assert texts(await until(news, lambda one: isinstance(one, Line))) == ["b 2"]
            await news.aclose()

    run(doing())
