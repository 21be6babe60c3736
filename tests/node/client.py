"""A small synchronous deployer for tests: speaks frames to a real engine process, or kills it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mikoshi.core import messages, transfer
from mikoshi.core import release as releases
from mikoshi.core.deployment import Deployment, Settings
from mikoshi.core.errors import MikoshiError, from_wire
from mikoshi.core.frames import CHUNKS, Frame, FrameReader, blob_frame, blob_of, message_frame, message_of, pack_chunks
from mikoshi.core.messages import NodeView, node_view_from_json
from mikoshi.core.release import Manifest
from mikoshi.core.transfer import Chunk, TransferIndex

SOURCE = Path(__file__).resolve().parents[2] / "src"
APP, ENV = "shop", "production"


class EngineGone(Exception):
    """The engine ended without an answer; its last words are the text."""


@dataclass
class Refusal(Exception):
    """An error the engine answered with, and the rest of its envelope."""

    error: MikoshiError
    envelope: Mapping[str, Any]


@dataclass(frozen=True)
class Built:
    """A release in memory: its manifest and index, and content by digest."""

    manifest: Manifest
    index: TransferIndex
    contents: Mapping[str, bytes]

    @property
    def encoded(self) -> bytes:
        """The manifest as it travels."""
        return releases.encode(self.manifest)

    @property
    def id(self) -> str:
        """The release's id."""
        return releases.release_id(self.encoded)

    def chunk(self, number: int) -> bytes:
        """The content of the chunk with this number."""
        wanted = transfer.chunks(self.manifest, self.index)[number]
        for place in transfer.places(self.manifest, self.index):
            if place.chunk == wanted:
                return self.contents[place.file][place.offset : place.offset + wanted.size]
        raise AssertionError(number)


def sha(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def build(
    files: Mapping[str, bytes], executable: Sequence[str] = (), links: Mapping[str, str] | None = None,
    directories: Sequence[str] = (), piece: int = 1 << 20, platform: str = "any",
) -> Built:  # fmt: skip
    """A release of these files; those larger than `piece` bytes are cut into pieces of that size."""
    entries = [
        releases.file_entry(path, 0o755 if path in executable else 0o644, len(data), sha(data))
        for path, data in files.items()
    ]
    entries += [releases.link_entry(path, target) for path, target in (links or {}).items()]
    entries += [releases.directory_entry(path) for path in directories]
    cut = {
        sha(data): tuple(
            Chunk(sha(part), len(part)) for part in (data[at : at + piece] for at in range(0, len(data), piece))
        )
        for data in files.values()
        if len(data) > piece
    }
    manifest = releases.manifest(platform, entries)
    return Built(manifest, TransferIndex(cut), {sha(data): data for data in files.values()})


@dataclass
class Engine:
    """One session with an engine in a process of its own."""

    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        command = self.command or (sys.executable, "-X", "utf8", "-m", "mikoshi.node")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{SOURCE.parent}", **self.environment},
        )
        self._reader, self._frames, self._number = FrameReader(), list[Frame](), 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> int:
        """End the session as a deployer that is done does; the engine's exit status."""
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                continue
        return self.process.wait(20)

    # ── frames ─────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, frames: Sequence[Frame]) -> None:
        """Send frames."""
        assert self.process.stdin is not None
        try:
            for frame in frames:
                self.process.stdin.write(frame.encode())
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise EngineGone(self.last_words()) from error

    def read(self) -> Frame:
        """The next frame. Raises EngineGone."""
        assert self.process.stdout is not None
        while not self._frames:
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            if not data:
                raise EngineGone(self.last_words())
            self._frames.extend(self._reader.feed(data))
        return self._frames.pop(0)

    def last_words(self) -> str:
        """What the engine wrote to its error output, once it has ended."""
        assert self.process.stderr is not None
        self.process.wait(20)
        return self.process.stderr.read().decode()

    def ask(self, request: messages.Request, blobs: Sequence[bytes] = ()) -> int:
        """Send a request; its number."""
        self._number += 1
        message = {**messages.to_message(request), "id": self._number, "blobs": len(blobs)}
        self.write([message_frame(message), *map(blob_frame, blobs)])
        return self._number

    def answer(self, number: int) -> tuple[dict[str, Any], list[bytes]]:
        """The answer to a request and its blobs; chunks that come first are among the blobs. Raises Refusal."""
        chunks: list[bytes] = []
        while True:
            frame = self.read()
            if frame.kind == CHUNKS:
                chunks.append(frame.payload)
                continue
            message = message_of(frame)
            if "event" in message:
                self.events.append(message["event"])
                continue
            assert message["id"] == number, message
            if "error" in message:
                raise Refusal(from_wire(message["error"]), message)
            return message["ok"], chunks + [blob_of(self.read()) for _ in range(message["blobs"])]

    def call(self, request: messages.Request, *blobs: bytes) -> dict[str, Any]:
        """The answer to a request. Raises Refusal and EngineGone."""
        return self.answer(self.ask(request, blobs))[0]

    # ── a deploy ───────────────────────────────────────────────────────────────────────────────────────────────

    def hello(self, path: Path | str, run_as: str = "") -> NodeView:
        """Say hello; the node's view."""
        return node_view_from_json(self.call(messages.Hello(APP, ENV, str(path), run_as)))

    def acquire(self, holder: str = "tester", ttl: float = 60.0) -> NodeView:
        """Take the lease; the node's view."""
        return node_view_from_json(self.call(messages.Acquire(holder, "a test", ttl))["view"])

    def begin(self, path: Path | str, run_as: str = "") -> NodeView:
        """Hello and Acquire."""
        self.hello(path, run_as)
        return self.acquire()

    def stage(
        self, seq: int, built: Built, settings: Settings | None = None, values: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Any], list[int]]:
        """Begin staging; the reply and the numbers of the missing chunks."""
        settings = settings or Settings()
        deployment = Deployment(seq, built.id, settings.digest(), "tester", 1.0, origin=seq)
        request = messages.Stage(deployment.to_json(), settings.to_json())
        index = transfer.encode(built.index)
        reply, blobs = self.answer(self.ask(request, [built.encoded, index, json.dumps(dict(values or {})).encode()]))
        return reply, transfer.numbers(blobs[0])

    def send(self, built: Built, numbers: Sequence[int]) -> None:
        """Send chunks, one in a frame."""
        for number in numbers:
            self.write([pack_chunks([(number, built.chunk(number))])])

    def stage_fully(
        self, seq: int, built: Built, settings: Settings | None = None, values: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Stage, send what is missing, end; the last reply."""
        reply, numbers = self.stage(seq, built, settings, values)
        if reply["staged"]:
            return {"reused": built.manifest.size(), "received": 0}
        self.send(built, numbers)
        return self.call(messages.StageEnd(seq))

    def deploy(
        self, seq: int, built: Built, previous: int = 0, settings: Settings | None = None,
        values: Mapping[str, Any] | None = None, keep: int = 5,
    ) -> None:  # fmt: skip
        """Stage, activate and settle."""
        self.stage_fully(seq, built, settings, values)
        self.call(messages.Activate(seq, previous))
        self.call(messages.Settle(seq, "done", seq, keep, (), {"seq": seq}))
