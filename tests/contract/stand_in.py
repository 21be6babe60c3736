"""A tiny engine for tests of the way to an engine: it echoes frames and does as it is told, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from mikoshi.adapters.transports.engine_zip import EngineZip, pack_engine
from mikoshi.core.frames import BLOB, Frame, FrameReader, message_frame, message_of
from mikoshi.ports.transport import Channel

_MAIN = b"""
import os, signal, sys, time
from mikoshi.core.frames import MESSAGE, FrameReader, message_frame, message_of

def send(data):
    view = memoryview(data)
    while view:
        view = view[os.write(1, view):]

def obey(order):
    if order["do"] == "who":
        own = sorted(name for name in os.environ if name.startswith("MIKOSHI_"))
        answer = {"pid": os.getpid(), "uid": os.geteuid(), "python": sys.executable, "variables": own}
        send(message_frame(answer).encode())
    elif order["do"] == "end":
        os.write(2, order["words"].encode())
        sys.exit(order["status"])
    elif order["do"] == "die":
        os.write(2, order["words"].encode())
        os.kill(os.getpid(), signal.SIGKILL)
    elif order["do"] == "linger":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        send(message_frame({}).encode())
        time.sleep(600)

reader = FrameReader()
while True:
    data = os.read(0, 1 << 18)
    if not data:
        break
    for frame in reader.feed(data):
        if frame.kind == MESSAGE:
            obey(message_of(frame))
        else:
            send(frame.encode())
"""


def stand_in(mark: str = "") -> EngineZip:
    """The engine. Another `mark` makes another one, which no host has yet."""
    return pack_engine(
        {
            "__main__.py": f"# {mark}\n".encode() + _MAIN,
            "mikoshi/__init__.py": b"",
            "mikoshi/core/__init__.py": b"",
            "mikoshi/core/frames.py": (files("mikoshi.core") / "frames.py").read_bytes(),
        }
    )


class Talk:
    """A conversation with the stand-in on one channel."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._reader = FrameReader()
        self._frames: list[Frame] = []

    async def frame(self) -> Frame:
        """The next frame."""
        while not self._frames:
            data = await self.channel.read()
            assert data, "the engine ended"
            self._frames.extend(self._reader.feed(data))
        return self._frames.pop(0)

    async def tell(self, order: Mapping[str, Any]) -> None:
        """Send an order."""
        await self.channel.write(message_frame(dict(order)).encode())

    async def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """Send an order and return the answer."""
        await self.tell(order)
        return message_of(await self.frame())

    async def echo(self, payload: bytes) -> bytes:
        """What comes back for a blob."""
        await self.channel.write(Frame(BLOB, payload).encode())
        return (await self.frame()).payload
