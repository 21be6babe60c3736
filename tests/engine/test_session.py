"""The conversation with one node: every request ends, whatever the other side does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from mikoshi.core import frames
from mikoshi.core.errors import ConnectionLost, HookFailed, LeaseHeld, ProtocolMismatch, to_wire
from mikoshi.core.messages import Alive, Describe, Fetch, Output, Renew, StepStarted, event_to_json
from mikoshi.engine.session import NodeError, NodeSession
from tests.engine.channels import ScriptedChannel, ok

PATIENCE = 10.0


def talk(channel: ScriptedChannel, talking: Callable[[NodeSession], Awaitable[None]], **options: Any) -> None:
    """Run a conversation over a scripted channel, which must end within a time limit."""

    async def run() -> None:
        session = NodeSession("web1", channel, **options)
        try:
            async with asyncio.timeout(PATIENCE):
                await talking(session)
        finally:
            await session.close()

    asyncio.run(run())


def test_an_answer_brings_its_fields_and_blobs() -> None:
    async def talking(session: NodeSession) -> None:
        reply = await session.request(Describe("r"))
        assert (reply.fields, reply.blobs) == ({"size": 2}, (b"one", b"two" * 1000))
        assert session.round_trips == 1

    talk(ScriptedChannel(lambda request, _: ok(request, b"one", b"two" * 1000, size=2)), talking)


def test_a_refusal_is_typed_names_the_node_and_says_what_runs() -> None:
    refusal = HookFailed("before_activate", "false", 1, ["line"]).on(step="before_activate")

    def answer(request: dict[str, Any], _blobs: list[bytes]) -> list[frames.Frame]:
        return [frames.message_frame({"id": request["id"], "error": to_wire(refusal), "restored": False})]

    async def talking(session: NodeSession) -> None:
        with pytest.raises(NodeError) as caught:
            await session.request(Alive())
        error = caught.value.error
        assert isinstance(error, HookFailed)
        assert (error.node, error.step, error.lines, caught.value.restored) == (
            "web1",
            "before_activate",
            ["line"],
            False,
        )
        assert session.lost is None

    talk(ScriptedChannel(answer), talking)


def test_events_are_heard_before_the_answer() -> None:
    heard: list[Output | StepStarted] = []
    events: list[Output | StepStarted] = [StepStarted("restart"), Output("restart", "up")]

    def answer(request: dict[str, Any], _blobs: list[bytes]) -> list[frames.Frame]:
        told = [frames.message_frame({"event": event_to_json(event), "id": request["id"]}) for event in events]
        return [*told, *ok(request)]

    async def talking(session: NodeSession) -> None:
        await session.request(Alive())
        assert heard == events

    talk(ScriptedChannel(answer), talking, on_event=heard.append)


def test_renewing_does_not_wait_for_the_request_under_way() -> None:
    waiting: list[dict[str, Any]] = []

    def answer(request: dict[str, Any], _blobs: list[bytes]) -> list[frames.Frame]:
        if request["do"] == "Alive":
            waiting.append(request)
            return []
        return ok(request)

    channel = ScriptedChannel(answer)

    async def talking(session: NodeSession) -> None:
        slow = asyncio.create_task(session.request(Alive()))
        await channel.asked.wait()
        await session.request(Renew(), urgent=True)
        assert not slow.done()
        channel.say(ok(waiting[0]))
        await slow
        assert [request["do"] for request in channel.requests] == ["Alive", "Renew"]

    talk(channel, talking)


def test_an_end_of_the_stream_fails_what_waits_and_all_that_follows_with_the_last_words() -> None:
    async def talking(session: NodeSession) -> None:
        with pytest.raises(ConnectionLost, match="out of memory"):
            await session.request(Alive())
        with pytest.raises(ConnectionLost) as caught:
            await session.request(Alive())
        assert caught.value is session.lost
        assert caught.value.node == "web1"
        with pytest.raises(ConnectionLost):
            await session.send_content(b"")

    talk(ScriptedChannel(lambda *_: None, words="out of memory"), talking)


def test_bytes_that_are_no_frames_are_a_mismatch_that_shows_them() -> None:
    channel = ScriptedChannel(lambda *_: [])

    async def talking(session: NodeSession) -> None:
        asking = asyncio.create_task(session.request(Alive()))
        await channel.asked.wait()
        channel.say_bytes(b"Last login: Monday\n")
        with pytest.raises(ProtocolMismatch, match="Last login"):
            await asking

    talk(channel, talking)


def test_an_error_that_answers_nothing_ends_the_session() -> None:
    farewell = frames.message_frame({"id": 0, "error": to_wire(LeaseHeld("bob", "mine", 5.0))})

    async def talking(session: NodeSession) -> None:
        with pytest.raises(LeaseHeld):
            await session.request(Alive())

    talk(ScriptedChannel(lambda *_: [farewell]), talking)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 9])
def test_fetched_content_comes_in_order_and_ends_with_the_answer(count: int) -> None:
    batches = [frames.pack_chunks([(number, b"x")]) for number in range(count)]

    async def talking(session: NodeSession) -> None:
        got = [frame async for frame in session.fetch(Fetch("r"))]
        assert got == batches

    talk(ScriptedChannel(lambda request, _: [*batches, *ok(request)]), talking)


@pytest.mark.parametrize("count", [0, 3, 4, 5, 9])
def test_a_fetch_from_a_node_that_dies_ends(count: int) -> None:
    """However many batches had arrived and were not taken yet."""
    channel = ScriptedChannel(lambda *_: [frames.pack_chunks([(number, b"x")]) for number in range(count)])

    async def talking(session: NodeSession) -> None:
        async def fetch() -> None:
            async for _ in session.fetch(Fetch("r")):
                await asyncio.sleep(0.01)

        fetching = asyncio.create_task(fetch())
        await channel.asked.wait()
        channel.say(None)
        with pytest.raises(ConnectionLost):
            await fetching

    talk(channel, talking)


@pytest.mark.parametrize("count", [2, 40])
def test_a_fetch_that_is_given_up_leaves_the_session_usable(count: int) -> None:
    """However much of it is still on its way."""
    batches = [frames.pack_chunks([(number, b"x")]) for number in range(count)]

    def answer(request: dict[str, Any], _blobs: list[bytes]) -> list[frames.Frame]:
        return [*(batches if request["do"] == "Fetch" else []), *ok(request)]

    async def talking(session: NodeSession) -> None:
        fetching = session.fetch(Fetch("r"))
        await anext(fetching)
        assert isinstance(fetching, AsyncGenerator)
        await fetching.aclose()
        await session.request(Alive())

    talk(ScriptedChannel(answer), talking)
