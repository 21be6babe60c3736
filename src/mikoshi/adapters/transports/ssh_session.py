"""One command on an asyncssh connection, as a stream: bounded buffers both ways, its end told apart."""

from __future__ import annotations

import asyncio
import signal

import asyncssh

from mikoshi.adapters.transports.login import Connection
from mikoshi.adapters.transports.ssh_options import SshOptions
from mikoshi.adapters.transports.stream import Tail
from mikoshi.core.errors import ConnectionLost, HostTimeout, MikoshiError
from mikoshi.ports.remote import Sink

_READ_AHEAD = 4 << 20
_WRITE_AHEAD = 2 << 20
_GRACE = 0.4  # seconds, twice in a close


class SshSession(asyncssh.SSHClientSession[bytes]):
    """The session's callbacks on one side, a stream on the other."""

    def __init__(self, options: SshOptions, stderr: Sink | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._options = options
        self._sink = stderr
        self._tail = Tail()
        self._parts: list[bytes] = []
        self._size = 0
        self._paused = False
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended: asyncio.Future[Exception | None] = loop.create_future()
        self.complaints: asyncio.Future[None] = loop.create_future()
        self.status: int | None = None

    # What asyncssh tells

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The channel is there."""
        self._channel = chan
        chan.set_write_buffer_limits(_WRITE_AHEAD)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Output, or error output."""
        if datatype is not None:
            self._tail.add(data)
            self._complain(data)
            return
        self._parts.append(data)
        self._size += len(data)
        self._arrived.set()
        if self._size > _READ_AHEAD and not self._paused:
            self._paused = True
            self._channel.pause_reading()

    def eof_received(self) -> bool:
        """Keep the channel: how the command ended comes after its output."""
        return True

    def exit_status_received(self, status: int) -> None:
        """It ended by itself."""
        self.status = status

    def exit_signal_received(
        self,
        signal: str,
        core_dumped: bool,  # noqa: ARG002 - asyncssh's signature
        msg: str,  # noqa: ARG002
        lang: str,  # noqa: ARG002
    ) -> None:
        """It was killed."""
        self.status = -_signal_number(signal)

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is gone, after a command's end or because of `exc`."""
        self._ended.set_result(exc)
        if not self.complaints.done():
            self.complaints.set_result(None)
        self._arrived.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """The host takes no more for now."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The host takes more."""
        self._writable.set()

    # The stream

    async def write(self, data: bytes) -> None:
        """Send `data`; returns when more can be taken. Raises ConnectionLost or HostTimeout."""
        try:
            self._channel.write(data)
        except BrokenPipeError:
            raise await self._lost("sending") from None
        await self._writable.wait()
        if self._ended.done():
            raise await self._lost("sending")

    async def end_input(self) -> None:
        """Let the command see the end of its input; one that has ended is no error."""
        if not self._channel.is_closing():
            self._channel.write_eof()

    async def receive(self) -> bytes:
        """The next bytes, b"" at their end, however the command ended."""
        while not self._parts:
            if self._ended.done():
                return b""
            self._arrived.clear()
            await self._arrived.wait()
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            self._channel.resume_reading()
        return data

    async def read(self) -> bytes:
        """The next bytes, b"" once the command ended with 0. Raises ConnectionLost or HostTimeout otherwise."""
        data = await self.receive()
        if not data and (self._ended.result() is not None or self.status != 0):
            raise await self._lost("receiving")
        return data

    async def wait(self) -> int:
        """How the command ended (negative: by that signal). Raises ConnectionLost or HostTimeout if that is unknown."""
        await asyncio.wait([self._ended])
        if self.status is None:
            raise await self._lost("waiting")
        return self.status

    def last_words(self) -> str:
        """The last of the error output."""
        return self._tail.text()

    async def ended(self, within: float) -> bool:
        """Whether the channel is gone within so many seconds."""
        done, _ = await asyncio.wait([self._ended], timeout=within)
        return bool(done)

    def _complain(self, data: bytes) -> None:
        if self._sink is None or self.complaints.done():
            return
        try:
            self._sink(data)
        except BaseException as error:  # noqa: BLE001 - it is raised where the caller waits, by `complaints`
            self.complaints.set_exception(error)

    async def _lost(self, during: str) -> MikoshiError:
        """The error for an end that is none of ours."""
        await self.ended(_GRACE)
        error = self._ended.result() if self._ended.done() else None
        # asyncssh has no other sign for unanswered keep-alives than these words; a test with a stopped host holds it.
        if isinstance(error, asyncssh.ConnectionLost) and "keepalive" in error.reason:
            return HostTimeout("keep-alive", self._options.silence)
        words = self.last_words() or (str(error) if error else "")
        if not words and self.status is not None and self.status < 0:
            words = f"killed by signal {-self.status}"
        return ConnectionLost(during, words)


class SshStream:
    """A session together with the connection that is its own: both end at once."""

    def __init__(self, session: SshSession, connection: Connection) -> None:
        self.session = session
        self._connection = connection
        self.write = session.write
        self.read = session.read
        self.last_words = session.last_words

    async def close(self) -> None:
        """End the input and give the command a moment; then drop the connection whatever it does."""
        try:
            await self.session.end_input()
            await self.session.ended(_GRACE)
            await asyncio.wait_for(self._connection.close(), _GRACE)
        except (TimeoutError, OSError, asyncssh.Error):
            pass  # it is dropped below
        finally:
            self._connection.abort()


async def start_command(
    connection: Connection, command: str, options: SshOptions, stderr: Sink | None = None
) -> SshSession:
    """Run `command` by the login shell. Raises ConnectionLost."""
    try:
        session = SshSession(options, stderr)
        await connection.ssh.create_session(
            lambda: session, command, request_pty=False, x11_forwarding=False, encoding=None
        )
    except (asyncssh.Error, OSError) as error:
        raise ConnectionLost("start of the session", str(error)) from None
    return session


def _signal_number(name: str) -> int:
    """A signal's number here by the name that SSH gives it ("KILL"); 0 would look like success."""
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        return 1
