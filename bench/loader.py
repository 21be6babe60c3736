"""A load generator that loses nothing by itself: requests at a fixed rate, each recorded with what became of it.

Open loop: request n is due n / rate seconds after the start whether or not earlier ones were answered, and its latency
counts from then. No request is ever tried again. As a careful client does, it looks before reusing a connection
whether the server has closed it; only what happens after a request was sent counts against the server.

What is asked answers `NAME\\n` and what the profile expects after it, NAME being the generation that answered.
"""

from __future__ import annotations

import asyncio
import math
import select
import time
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from urllib.parse import urlsplit

HEAD_LIMIT = 65536
_END_OF_HEAD = b"\r\n\r\n"


class Outcome(Enum):
    """What became of a request."""

    OK = "ok"
    REFUSED = "refused"
    RESET = "reset before response"
    CLOSED = "closed mid-response"
    TIMEOUT = "timeout"
    BAD_STATUS = "bad status"
    WRONG_BODY = "wrong body"


@dataclass(frozen=True)
class Profile:
    """One kind of request: `rate` a second in all, over at most `connections` at a time; `timeout` is in seconds.

    `keep`: connections are used again. `expected`: what follows the first line of the answer; None is not looked at.
    """

    name: str
    rate: float
    connections: int
    path: str = "/"
    body: bytes | None = None
    keep: bool = True
    expected: bytes | None = b""
    timeout: float = 10.0


def keep_alive(rate: float, connections: int) -> Profile:
    """GET on kept connections."""
    return Profile("keep-alive", rate, connections)


def fresh(rate: float, connections: int) -> Profile:
    """GET, a connection for each."""
    return Profile("fresh", rate, connections, keep=False)


def post(rate: float, connections: int, size: int = 2000, *, keep: bool = True) -> Profile:
    """POST of `size` bytes, which the answer repeats."""
    body = bytes(97 + number % 26 for number in range(size))
    return Profile("post", rate, connections, body=body, keep=keep, expected=body)


def stream(rate: float, connections: int, parts: int, pause: float) -> Profile:
    """GET of a response that comes in `parts` lines, each `pause` seconds after the one before."""
    lines = b"".join(b"%d\n" % number for number in range(parts))
    path = f"/stream/{parts}/{round(pause * 1000)}"
    return Profile("stream", rate, connections, path, expected=lines, timeout=10 + parts * pause)


@dataclass(frozen=True)
class Sample:
    """One request. `start` is when it was due, by `time.monotonic`; `latency` is in seconds and counts from then.

    `generation` is the first line of the answer, None if there was none; `detail` says more of a failure.
    """

    profile: str
    start: float
    latency: float
    outcome: Outcome
    generation: str | None = None
    reused: bool = False
    detail: str = ""


async def load(profile: Profile, url: str, stop: asyncio.Event) -> list[Sample]:
    """Send requests until `stop`, wait for those under way, and give all of them in the order they were due."""
    client = _Client(profile, url)
    begun = time.monotonic()
    requests: list[asyncio.Task[Sample]] = []
    for number in count():
        due = begun + number / profile.rate
        if await _stopped_before(due, stop):
            break
        requests.append(asyncio.create_task(client.request(due)))
    samples = await asyncio.gather(*requests)
    client.close()
    return list(samples)


async def one(profile: Profile, url: str) -> Sample:
    """A single request of that kind, now."""
    client = _Client(profile, url)
    try:
        return await client.request(time.monotonic())
    finally:
        client.close()


async def load_all(profiles: Sequence[Profile], url: str, stop: asyncio.Event) -> list[Sample]:
    """Several profiles at once, in the order of `start`."""
    results = await asyncio.gather(*(load(profile, url, stop) for profile in profiles))
    return sorted((sample for samples in results for sample in samples), key=lambda sample: sample.start)


def failures(samples: Iterable[Sample]) -> list[Sample]:
    """The requests that were not answered as they should be."""
    return [sample for sample in samples if sample.outcome is not Outcome.OK]


def outcomes(samples: Iterable[Sample]) -> Counter[Outcome]:
    """How many requests ended in which way."""
    return Counter(sample.outcome for sample in samples)


def generations(samples: Iterable[Sample]) -> Counter[str]:
    """How many answers each generation gave."""
    return Counter(sample.generation for sample in samples if sample.generation is not None)


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest of the values that at least `share` (0 to 1) of them do not exceed. Raises ValueError for none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[max(1, math.ceil(share * len(ordered))) - 1]


async def _stopped_before(due: float, stop: asyncio.Event) -> bool:
    """Wait until a request is due; whether to stop instead."""
    left = due - time.monotonic()
    if left > 0 and not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), left)
        except TimeoutError:
            return False
    else:
        await asyncio.sleep(0)
    return stop.is_set()


class _Failed(Exception):
    """A request that did not end well."""

    def __init__(self, outcome: Outcome, detail: str, generation: str | None = None) -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.generation = generation


@dataclass
class _Slot:
    """A place for one connection, and the connection that is kept in it."""

    reader: StreamReader | None = None
    writer: StreamWriter | None = None

    @property
    def usable(self) -> bool:
        """Whether there is a connection on which nothing has arrived: neither its end nor what nobody asked for."""
        if self.reader is None or self.writer is None or self.reader.at_eof() or self.writer.is_closing():
            return False
        poll = select.poll()
        poll.register(self.writer.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


@dataclass
class _Answer:
    """A response's head, and its body once it was read."""

    status: int
    version: str
    headers: dict[str, str]
    body: bytes = field(default=b"")

    @property
    def keeps(self) -> bool:
        """Whether the connection may be used again."""
        tokens = {token.strip() for token in self.headers.get("connection", "").lower().split(",")}
        return "close" not in tokens and (self.version == "HTTP/1.1" or "keep-alive" in tokens)


class _Client:
    """The connections of one profile."""

    def __init__(self, profile: Profile, url: str) -> None:
        parts = urlsplit(url)
        self._profile = profile
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._request = _request_bytes(profile, f"{self._host}:{self._port}")
        # First come, first served, which a Queue does not promise to those who wait. Slots take turns.
        self._turn = asyncio.Semaphore(profile.connections)
        self._free = deque(_Slot() for _ in range(profile.connections))

    def close(self) -> None:
        """Close what is kept; nothing is under way any more."""
        for slot in self._free:
            slot.close()

    async def request(self, due: float) -> Sample:
        """One request and what became of it."""
        profile = self._profile
        slot: _Slot | None = None
        reused, outcome, generation, detail = False, Outcome.OK, None, ""
        try:
            async with asyncio.timeout(due + profile.timeout - time.monotonic()):
                await self._turn.acquire()
                slot = self._free.popleft()
                reused = slot.usable
                generation = await self._exchange(slot, reused)
        except TimeoutError:
            outcome = Outcome.TIMEOUT
            detail = "waiting for a free connection" if slot is None else ""
        except _Failed as failed:
            outcome, detail, generation = failed.outcome, failed.detail, failed.generation
        latency = time.monotonic() - due
        if slot is not None:
            if outcome is not Outcome.OK or not profile.keep:
                slot.close()
            self._free.append(slot)
            self._turn.release()
        return Sample(profile.name, due, latency, outcome, generation, reused, detail)

    async def _exchange(self, slot: _Slot, reused: bool) -> str:
        if not reused:
            slot.close()
            try:
                slot.reader, slot.writer = await asyncio.open_connection(self._host, self._port, limit=HEAD_LIMIT)
            except OSError as error:
                raise _Failed(Outcome.REFUSED, str(error)) from None
        assert slot.reader is not None
        assert slot.writer is not None
        try:
            slot.writer.write(self._request)
            await slot.writer.drain()
        except ConnectionError:
            pass  # the answer may be there all the same: what is read decides
        answer = await _read_answer(slot.reader)
        if not answer.keeps:
            slot.close()
        return self._judge(answer)

    def _judge(self, answer: _Answer) -> str:
        """The generation that an answer names. Raises _Failed for a wrong one."""
        first, newline, rest = answer.body.partition(b"\n")
        name = first.decode("utf-8", "replace") if newline else None
        if answer.status != 200:
            raise _Failed(Outcome.BAD_STATUS, str(answer.status), name)
        if name is None or (self._profile.expected is not None and rest != self._profile.expected):
            raise _Failed(Outcome.WRONG_BODY, repr(answer.body[:80]), name)
        return name


def _request_bytes(profile: Profile, host: str) -> bytes:
    """A request as it is sent."""
    method = "GET" if profile.body is None else "POST"
    lines = [f"{method} {profile.path} HTTP/1.1", f"Host: {host}", "User-Agent: mikoshi-bench"]
    if profile.body is not None:
        lines += ["Content-Type: application/octet-stream", f"Content-Length: {len(profile.body)}"]
    if not profile.keep:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode() + (profile.body or b"")


async def _read_answer(reader: StreamReader) -> _Answer:
    """A whole response. Raises _Failed if it does not come to its end."""
    try:
        answer = _parse_head(await reader.readuntil(_END_OF_HEAD))
    except IncompleteReadError as error:
        raise _Failed(Outcome.CLOSED if error.partial else Outcome.RESET, "end of stream in the head") from None
    except ConnectionError as error:
        raise _Failed(Outcome.RESET, str(error)) from None
    try:
        answer.body = await _read_body(reader, answer)
    except IncompleteReadError as error:
        raise _Failed(Outcome.CLOSED, f"end of stream in the body, after {len(error.partial)} bytes") from None
    except ConnectionError as error:
        raise _Failed(Outcome.CLOSED, str(error)) from None
    return answer


def _parse_head(head: bytes) -> _Answer:
    """Status line and headers. Raises _Failed for what is not HTTP/1."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    version, _, status = first.partition(" ")
    if not version.startswith("HTTP/1.") or not status[:3].isdecimal():
        raise _Failed(Outcome.BAD_STATUS, first)
    pairs = (line.partition(":") for line in lines)
    return _Answer(int(status[:3]), version, {name.strip().lower(): value.strip() for name, _, value in pairs})


async def _read_body(reader: StreamReader, answer: _Answer) -> bytes:
    """The body by its length, its chunks or the connection's end (RFC 9112, 6.3). Raises IncompleteReadError."""
    if "chunked" in answer.headers.get("transfer-encoding", "").lower():
        return await _read_chunks(reader)
    if (length := answer.headers.get("content-length")) is not None:
        return await reader.readexactly(int(length))
    answer.headers["connection"] = "close"
    return await reader.read()


async def _read_chunks(reader: StreamReader) -> bytes:
    body = b""
    while True:
        size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
        if size == 0:
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass  # a trailer field
            return body
        body += await reader.readexactly(size)
        await reader.readexactly(2)
