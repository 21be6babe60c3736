"""The load generator: the rate it keeps, and that each way of losing a request is told apart."""

from __future__ import annotations

import asyncio
import socket
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest
from bench.loader import (
    Outcome,
    Profile,
    Sample,
    failures,
    fresh,
    generations,
    keep_alive,
    load,
    load_all,
    outcomes,
    percentile,
    post,
    stream,
)
from bench.relay import reset

Answer = Callable[[bytes, StreamWriter], Awaitable[bool]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\none\n"


class Server:
    """Counts connections; answers requests as it is told, and keeps a connection while the answer is True."""

    def __init__(self, answer: Answer, enough: int) -> None:
        self.answer = answer
        self.enough = enough
        self.reached = asyncio.Event()
        self.connections = 0
        self.requests = 0

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")]
                body = await reader.readexactly(int(length[0].split()[1])) if length else b""
                self.requests += 1
                if self.requests >= self.enough:
                    self.reached.set()
                if not await self.answer(head + body, writer):
                    return
        except (IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def fixed(data: bytes, *, keeps: bool = True) -> Answer:
    async def answer(request: bytes, writer: StreamWriter) -> bool:
        writer.write(data)
        return keeps

    return answer


async def echo(request: bytes, writer: StreamWriter) -> bool:
    body = b"one\n" + request.partition(b"\r\n\r\n")[2]
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return True


async def in_parts(request: bytes, writer: StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
    for number in range(3):
        writer.write(b"2\r\n%d\n\r\n" % number)
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    return True


async def broken(request: bytes, writer: StreamWriter) -> bool:
    reset(writer)
    return False


async def never(request: bytes, writer: StreamWriter) -> bool:
    await asyncio.sleep(60)
    return False


def run(answer: Answer, *profiles: Profile, requests: int = 5) -> tuple[list[Sample], Server]:
    """Load a server until it has seen so many requests."""
    server = Server(answer, requests)

    async def session() -> list[Sample]:
        async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            samples = asyncio.create_task(load_all(profiles, url, server.reached))
            return await asyncio.wait_for(samples, 20)

    return asyncio.run(session()), server


def test_kept_connections_are_used_again_and_others_are_not() -> None:
    samples, server = run(fixed(OK), keep_alive(200, 2), requests=10)
    assert failures(samples) == []
    assert server.connections == 2
    assert sum(sample.reused for sample in samples) == len(samples) - 2
    samples, server = run(fixed(OK, keeps=False), fresh(200, 2), requests=10)
    assert failures(samples) == []
    assert server.connections == len(samples)


def test_every_request_is_due_at_its_own_time_however_slow_the_server_is() -> None:
    profile = replace(keep_alive(100, 1), timeout=0.3)
    samples, _ = run(never, profile, requests=1)
    starts = [sample.start for sample in samples]
    assert starts == pytest.approx([starts[0] + number / 100 for number in range(len(starts))])
    assert set(outcomes(samples)) == {Outcome.TIMEOUT}


def test_the_latency_of_a_request_that_waited_for_a_connection_counts_from_when_it_was_due() -> None:
    async def slow(request: bytes, writer: StreamWriter) -> bool:
        await asyncio.sleep(0.05)
        return await echo(request, writer)

    samples, _ = run(slow, keep_alive(100, 1), requests=5)
    assert failures(samples) == []
    assert [sample.latency for sample in samples[:4]] == sorted(sample.latency for sample in samples[:4])


def test_what_was_posted_and_what_was_streamed_is_compared() -> None:
    samples, _ = run(echo, post(200, 2, 70_000))
    assert failures(samples) == []
    assert set(generations(samples)) == {"one"}
    samples, _ = run(in_parts, stream(200, 2, 3, 0))
    assert failures(samples) == []
    samples, _ = run(in_parts, stream(200, 2, 4, 0))
    assert set(outcomes(samples)) == {Outcome.WRONG_BODY}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (broken, Outcome.RESET),
        (fixed(b"", keeps=False), Outcome.RESET),
        (fixed(b"HTTP/1.1 200 OK\r\n", keeps=False), Outcome.CLOSED),
        (fixed(OK[:-1], keeps=False), Outcome.CLOSED),
        (fixed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n", keeps=False), Outcome.CLOSED),
        (fixed(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\none\n"), Outcome.BAD_STATUS),
        (fixed(b"nonsense\r\n\r\n", keeps=False), Outcome.BAD_STATUS),
        (fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"), Outcome.WRONG_BODY),
        (fixed(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none\nxy"), Outcome.WRONG_BODY),
    ],
)
def test_each_way_of_losing_a_request_has_its_name(answer: Answer, outcome: Outcome) -> None:
    samples, _ = run(answer, keep_alive(100, 2))
    assert set(outcomes(samples)) == {outcome}


def test_nobody_listening_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    async def session() -> list[Sample]:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, stop.set)
        return await load(fresh(50, 1), url, stop)

    assert set(outcomes(asyncio.run(session()))) == {Outcome.REFUSED}


def test_a_connection_that_the_server_closed_between_requests_is_not_used_and_is_no_loss() -> None:
    samples, server = run(fixed(OK, keeps=False), keep_alive(20, 1))
    assert failures(samples) == []
    assert server.connections == len(samples)


def test_an_answer_without_length_ends_with_its_connection() -> None:
    samples, _ = run(fixed(b"HTTP/1.0 200 OK\r\n\r\none\n", keeps=False), keep_alive(100, 1))
    assert failures(samples) == []


def test_profiles_run_at_once() -> None:
    samples, _ = run(echo, keep_alive(100, 2), post(100, 2), requests=20)
    assert {sample.profile for sample in samples} == {"keep-alive", "post"}
    assert [sample.start for sample in samples] == sorted(sample.start for sample in samples)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([3, 1, 2], 0.5, 2), (range(1, 101), 0.99, 99), ([7], 0.99, 7), ([1, 2], 0, 1), ([1, 2], 1, 2)],
)
def test_a_percentile_is_one_of_the_values(values: Sequence[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)
