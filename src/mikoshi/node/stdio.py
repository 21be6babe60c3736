"""The byte streams of a session: frames in by a thread of their own, frames out from anywhere.

The end of the input is noticed at once, whatever the engine is doing; content waits in a queue of a few frames, so a
fast sender is slowed down by the disk and not by memory.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any, Callable

from mikoshi.core.frames import MESSAGE, Frame, FrameReader, MalformedFrame, blob_frame, message_frame, message_of

_BLOCK = 256 << 10
_QUEUED_FRAMES = 4


class Wire:
    """Frames from one descriptor and to another. `intercept` sees each message first and may take it."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._frames: SimpleQueue[Frame | None] = SimpleQueue()
        self._room = threading.Semaphore(_QUEUED_FRAMES)
        self._sending = threading.Lock()
        self._ended = threading.Event()
        self.intercept: Callable[[dict[str, Any]], bool] = lambda _message: False
        self.damage = ""

    @property
    def ended(self) -> bool:
        """Whether the other side is gone, or the session was told to end."""
        return self._ended.is_set()

    def start(self) -> None:
        """Begin to read."""
        threading.Thread(target=self._read, name="frames", daemon=True).start()

    def stop(self) -> None:
        """End the session once the step in progress has ended. May be called in a signal handler."""
        self._ended.set()
        self._frames.put(None)

    def next(self) -> Frame | None:
        """The next frame; None at the end of the session."""
        frame = self._frames.get()
        if frame is not None:
            self._room.release()
        return frame

    def _read(self) -> None:
        reader = FrameReader()
        try:
            while True:
                data = os.read(self._incoming, _BLOCK)
                if not data:
                    break
                for frame in reader.feed(data):
                    self._pass_on(frame)
        except (OSError, MalformedFrame) as error:
            self.damage = str(error)
        finally:
            self.stop()

    def _pass_on(self, frame: Frame) -> None:
        if frame.kind == MESSAGE and self.intercept(message_of(frame)):
            return
        self._room.acquire()
        self._frames.put(frame)

    def send(self, message: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
        """Send a message with its blobs. A deployer that is gone ends the session and is no error here."""
        self.send_frames([message_frame(message), *map(blob_frame, blobs)])

    def send_frames(self, frames: Sequence[Frame]) -> None:
        """Send frames with nothing in between."""
        with self._sending:
            for frame in frames:
                self._write(frame.encode())

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._outgoing, view) :]
        except (BrokenPipeError, ConnectionResetError):
            self.stop()
