"""What every transport must hold. A test class inherits it and says in `way` how its transport is made.

Held to real processes and, over SSH, to real sshd hosts: nothing here is simulated.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from mikoshi.adapters.transports.engine_zip import EngineZip
from mikoshi.core.address import Address
from mikoshi.core.errors import ConnectionLost, InfrastructureError
from mikoshi.core.frames import BLOB, Frame
from mikoshi.ports.transport import Transport
from tests.contract.scenario import eventually, scenario, seconds
from tests.contract.stand_in import Talk, stand_in

MIB = 1 << 20


@dataclass(frozen=True)
class Way:
    """A transport under test: how to make one that brings `engine`, and an address for it.

    `alive` says whether the process that an engine calls `pid` is there.
    """

    transport: Callable[[EngineZip], Transport]
    address: Address
    alive: Callable[[int], bool]


class TransportContract:
    """The part that has nothing to do with SSH."""

    @scenario
    async def test_frames_travel_both_ways(self, way: Way) -> None:
        channel = await way.transport(stand_in()).open(way.address)
        talk = Talk(channel)
        assert await talk.echo(b"hello") == b"hello"
        assert (await talk.ask({"do": "who"}))["pid"] > 0
        await channel.close()

    @scenario
    async def test_20_mib_come_back_as_they_were(self, way: Way) -> None:
        channel = await way.transport(stand_in()).open(way.address)
        talk = Talk(channel)
        payload = random.Random(1).randbytes(20 * MIB)
        sending = asyncio.create_task(channel.write(Frame(BLOB, payload).encode()))
        assert (await talk.frame()).payload == payload
        await sending
        assert channel.traffic.bytes_sent > len(payload)
        assert channel.traffic.bytes_received > len(payload)
        await channel.close()

    @scenario
    async def test_the_engine_is_brought_along_once(self, way: Way) -> None:
        engine = stand_in()
        first = await way.transport(engine).open(way.address)
        second = await way.transport(engine).open(way.address)
        assert first.traffic.bytes_sent > len(engine.wire)
        assert second.traffic.bytes_sent < 4096
        assert (first.traffic.connects, second.traffic.connects) == (1, 1)
        await first.close()
        await second.close()

    @scenario
    async def test_an_engine_of_another_version_stands_beside_the_first(self, way: Way) -> None:
        old = await way.transport(stand_in("old")).open(way.address)
        new = await way.transport(stand_in("new")).open(way.address)
        assert await Talk(old).echo(b"1") == b"1"
        assert await Talk(new).echo(b"2") == b"2"
        await old.close()
        await new.close()

    @scenario
    async def test_first_sessions_at_the_same_time_do_not_hurt_each_other(self, way: Way) -> None:
        transport = way.transport(stand_in("race"))
        channels = await asyncio.gather(*(transport.open(way.address) for _ in range(4)))
        for channel in channels:
            assert await Talk(channel).echo(b"here") == b"here"
            await channel.close()

    @scenario
    async def test_an_engine_that_ends_well_ends_the_stream(self, way: Way) -> None:
        channel = await way.transport(stand_in()).open(way.address)
        await Talk(channel).tell({"do": "end", "words": "", "status": 0})
        assert await channel.read() == b""
        await channel.close()

    @pytest.mark.parametrize(
        "order", [{"do": "end", "words": "no more memory", "status": 3}, {"do": "die", "words": "no more memory"}]
    )
    @scenario
    async def test_an_engine_that_fails_is_a_lost_connection_with_its_last_words(
        self, way: Way, order: dict[str, object]
    ) -> None:
        channel = await way.transport(stand_in()).open(way.address)
        await Talk(channel).tell(order)
        with pytest.raises(ConnectionLost) as raised:
            await channel.read()
        assert "no more memory" in raised.value.detail
        assert "no more memory" in channel.last_words()
        assert raised.value.node == way.address.name
        await channel.close()

    @scenario
    async def test_writing_to_an_engine_that_died_is_a_lost_connection(self, way: Way) -> None:
        channel = await way.transport(stand_in()).open(way.address)
        await Talk(channel).tell({"do": "die", "words": ""})

        async def write_on() -> None:
            while True:
                await channel.write(bytes(MIB))

        with pytest.raises(ConnectionLost):
            await write_on()
        await channel.close()

    @scenario
    async def test_closing_ends_the_engine(self, way: Way) -> None:
        channel = await way.transport(stand_in()).open(way.address)
        pid = (await Talk(channel).ask({"do": "who"}))["pid"]
        assert way.alive(pid)
        assert await seconds(channel.close()) < 2
        assert await eventually(lambda: not way.alive(pid))

    @scenario
    async def test_closing_does_not_wait_for_an_engine_that_lingers(self, way: Way) -> None:
        channel = await way.transport(stand_in()).open(way.address)
        await Talk(channel).ask({"do": "linger"})
        assert await seconds(channel.close()) < 2

    @scenario
    async def test_closing_twice_is_once(self, way: Way) -> None:
        channel = await way.transport(stand_in()).open(way.address)
        await channel.close()
        await channel.close()

    @scenario
    async def test_an_open_that_is_cancelled_leaves_nothing_and_the_next_one_works(self, way: Way) -> None:
        transport = way.transport(stand_in())
        for pause in (0.0, 0.01, 0.05):
            opening = asyncio.create_task(transport.open(way.address))
            await asyncio.sleep(pause)
            opening.cancel()
            outcome = (await asyncio.gather(opening, return_exceptions=True))[0]
            assert isinstance(outcome, asyncio.CancelledError) or not isinstance(outcome, BaseException)
            if not isinstance(outcome, BaseException):
                await outcome.close()
        channel = await transport.open(way.address)
        assert await Talk(channel).echo(b"x") == b"x"
        await channel.close()

    @scenario
    async def test_a_corrupt_archive_is_refused_and_nothing_of_it_is_kept(self, way: Way) -> None:
        good = stand_in("corrupt")
        bad = EngineZip(good.content[:-1] + b"\0", stand_in("announced").digest)
        with pytest.raises(InfrastructureError):
            await way.transport(bad).open(way.address)
        channel = await way.transport(stand_in("announced")).open(way.address)
        assert channel.traffic.bytes_sent > 4096
        await channel.close()


def process_exists(pid: int) -> bool:
    """Whether a process of this machine is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def open_descriptors() -> int:
    """How many file descriptors this process holds."""
    return len(os.listdir("/proc/self/fd"))
