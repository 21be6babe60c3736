"""A stream on which an engine speaks: the greeting behind it, the traffic counted.

The same for all transports; how the stream came to be is theirs.
"""

from __future__ import annotations

from collections.abc import Callable

from mikoshi.adapters.transports.bootstrap import Greeting, installation
from mikoshi.adapters.transports.engine_zip import EngineZip
from mikoshi.adapters.transports.stream import Stream
from mikoshi.core.errors import ConnectionLost, MikoshiError
from mikoshi.ports.transport import Traffic

START = "start of the engine"
Released = Callable[[], None]


class EngineChannel:
    """The Channel of every transport here."""

    def __init__(self, stream: Stream, name: str, traffic: Traffic, released: Released | None = None) -> None:
        """`name` is the node's; `released` is called once, when the channel is closed."""
        self._stream = stream
        self._name = name
        self._traffic = traffic
        self._released = released
        self._early = b""

    @property
    def traffic(self) -> Traffic:
        """What this channel has cost so far, the way to a running engine included."""
        return self._traffic

    async def start(self, engine: EngineZip) -> None:
        """See the greeting through until the engine speaks, and bring the engine along where it is missing.

        Raises PythonMissing, PathUnusable, ProtocolMismatch or ConnectionLost.
        """
        greeting = Greeting(engine)
        sent = heard = False
        while not heard:
            data = await self.read()
            if not data:
                raise ConnectionLost(during=START, detail=self.last_words()).on(self._name)
            try:
                heard = greeting.feed(data)
            except MikoshiError as error:
                raise error.on(self._name) from None
            if greeting.wants_engine and not sent:
                sent = True
                await self.write(installation(engine))
        self._early = greeting.rest

    async def write(self, data: bytes) -> None:
        """Send `data`; returns when the channel can take more. Raises ConnectionLost or HostTimeout."""
        self._traffic.bytes_sent += len(data)
        try:
            await self._stream.write(data)
        except MikoshiError as error:
            raise error.on(self._name) from None

    async def read(self) -> bytes:
        """The next bytes, b"" once the engine ended well. Raises ConnectionLost or HostTimeout."""
        if self._early:
            early, self._early = self._early, b""
            return early
        try:
            data = await self._stream.read()
        except MikoshiError as error:
            raise error.on(self._name) from None
        self._traffic.bytes_received += len(data)
        return data

    def last_words(self) -> str:
        """The last of what the remote side wrote to its error output."""
        return self._stream.last_words()

    async def close(self) -> None:
        """End the session; never raises and never waits longer than a second."""
        try:
            await self._stream.close()
        finally:
            released, self._released = self._released, None
            if released is not None:
                released()
