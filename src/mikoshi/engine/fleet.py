"""The nodes of an environment as the deployer holds them: sessions, what they show, and their leases.

The lease of the first node in the sorted order of names is taken alone, before all others: of two deployers for the
same nodes, whoever gets that one gets all. The others follow side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from mikoshi.core.address import Address
from mikoshi.core.errors import Fenced, HostTimeout, InfrastructureError, LeaseHeld, MikoshiError, to_wire
from mikoshi.core.events import Event, NodeLost, NodeOutput, NodeReached, Note, StepBegan
from mikoshi.core.messages import Acquire, Hello, NodeView, Output, Release, Renew, StepStarted, node_view_from_json
from mikoshi.engine.session import NodeError, NodeSession, Reply
from mikoshi.ports.clock import Clock
from mikoshi.ports.transport import Transport

Emit = Callable[[Event], None]
LEASE_SECONDS = 60.0
_RENEWALS = 4
# A session that broke leaves an engine behind that ends its step before it gives the lease back, in seconds.
_FORMER_ENGINE = 10.0
_ASK_AGAIN = 0.2
# A node in the middle of a hook answers when that has ended; leaving does not wait for it any longer, in seconds.
_FAREWELL = 2.0


@dataclass(frozen=True)
class Target:
    """What an environment is to the fleet: which application, which nodes, under which path on them, as whom."""

    app: str
    env: str
    addresses: tuple[Address, ...]
    anchor: str
    path: str
    run_as: str


@dataclass
class Usage:
    """What a command has cost on the wire."""

    connects: int = 0
    round_trips: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0


@dataclass
class Fleet:
    """Sessions to the reachable nodes. `errors` says why each of the others is not."""

    target: Target
    transport: Transport
    clock: Clock
    emit: Emit
    sessions: dict[str, NodeSession] = field(default_factory=dict)
    views: dict[str, NodeView] = field(default_factory=dict)
    errors: dict[str, MikoshiError] = field(default_factory=dict)
    _ended: Usage = field(default_factory=Usage)
    _held: set[str] = field(default_factory=set)
    _tokens: dict[str, int] = field(default_factory=dict)
    _holder: str = ""
    _message: str = ""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(session.close() for session in self.sessions.values()))

    async def connect(self, only: tuple[str, ...] = ()) -> None:
        """Open sessions to all nodes (or `only` some) and read what they show. Failures land in `errors`."""
        wanted = [address for address in self.target.addresses if not only or address.name in only]
        await asyncio.gather(*(self._connect(address) for address in wanted))

    async def reconnect(self, node: str) -> None:
        """Open a session to a node again, and take its lease. Raises what stands in the way."""
        await self._drop(node)
        address = next(address for address in self.target.addresses if address.name == node)
        self.errors.pop(node, None)
        await self._connect(address)
        if node in self.errors:
            raise self.errors[node]
        if self._held:
            self.views[node] = await self._acquire_again(node)
            self._held.add(node)

    async def ask(self, node: str, request: object, *blobs: bytes) -> Reply:
        """One request to one node; a refusal is raised as its typed error."""
        try:
            return await self.sessions[node].request(request, *blobs)  # type: ignore[arg-type]
        except NodeError as refused:
            raise refused.error from None

    async def ask_again(self, node: str, request: object) -> Reply:
        """One request that may be done twice: if the session is broken, or breaks, it is opened again, once."""
        if self.is_lost(node):
            await self.reconnect(node)
            return await self.ask(node, request)
        try:
            return await self.ask(node, request)
        except InfrastructureError:
            if not self.is_lost(node):
                raise
            await self.reconnect(node)
            return await self.ask(node, request)

    def is_lost(self, node: str) -> bool:
        """Whether there is no session to the node, or none that still works."""
        session = self.sessions.get(node)
        return session is None or session.lost is not None

    def usage(self) -> Usage:
        """What all sessions have cost so far."""
        total = Usage(**vars(self._ended))
        for session in self.sessions.values():
            _add(total, session)
        return total

    @contextlib.asynccontextmanager
    async def leases(self, holder: str, message: str, ttl: float = LEASE_SECONDS) -> AsyncIterator[None]:
        """Hold the leases of all reachable nodes; their views are read anew under them.

        Raises LeaseHeld with the node's name; what was taken by then is given back.
        """
        renewing: asyncio.Task[None] | None = None
        try:
            self._holder, self._message = holder, message
            first, *others = sorted(self.sessions)
            await self._hold(first, message, ttl)
            # All are awaited, so that what was taken by then is known and given back; the first refusal is told.
            answers = await asyncio.gather(*(self._hold(node, message, ttl) for node in others), return_exceptions=True)
            for refused in answers:
                if refused is not None:
                    raise refused
            renewing = asyncio.create_task(self._renew(ttl / _RENEWALS, ttl))
            yield
        finally:
            if renewing is not None:
                renewing.cancel()
            await self._release()

    async def _hold(self, node: str, message: str, ttl: float) -> None:
        self.views[node] = await self._acquire(node, message, ttl)
        self._held.add(node)

    async def _acquire(self, node: str, message: str, ttl: float) -> NodeView:
        reply = await self.ask(node, Acquire(self._holder, message, ttl))
        self._tokens[node] = int(reply.fields["token"])
        return node_view_from_json(reply.fields["view"])

    async def _acquire_again(self, node: str) -> NodeView:
        """The lease of a node whose session broke; our former engine there is given a moment to let go of it.

        Raises Fenced if somebody else had the lease in between: tokens grow by one with each holder.
        """
        patience = self.clock.monotonic() + _FORMER_ENGINE
        former = self._tokens.get(node)
        while True:
            try:
                view = await self._acquire(node, self._message, LEASE_SECONDS)
            except LeaseHeld as held:
                if held.holder != self._holder or self.clock.monotonic() >= patience:
                    raise
                await self.clock.sleep(_ASK_AGAIN)
                continue
            if former is not None and self._tokens[node] != former + 1:
                await self.ask(node, Release())
                raise Fenced(former, self._tokens[node]).on(node)
            return view

    async def _release(self) -> None:
        async def give_back(node: str) -> None:
            # A node that cannot be told frees the lease itself when the session or the lease's time ends.
            with contextlib.suppress(MikoshiError, TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await self.ask(node, Release())

        await asyncio.gather(*(give_back(node) for node in sorted(self._held) if node in self.sessions))
        self._held.clear()

    async def _renew(self, every: float, ttl: float) -> None:
        """Renew all leases again and again. A node that does not answer costs the others nothing."""
        asked: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                await self.clock.sleep(every)
                for name, session in self.sessions.items():
                    if name in self._held and (name not in asked or asked[name].done()):
                        asked[name] = asyncio.create_task(self._renew_one(session, ttl))
        finally:
            for task in asked.values():
                task.cancel()

    async def _renew_one(self, session: NodeSession, ttl: float) -> None:
        """Renewing fails only with the session or the lease itself, and then every later request says why.

        An engine renews whatever else it does; one that is silent for as long as its lease lasts is stopped or stuck,
        and the lease is no longer ours.
        """
        try:
            async with asyncio.timeout(ttl):
                await session.request(Renew(), urgent=True)
        except TimeoutError:
            session.give_up(HostTimeout("renew the lease", ttl))
        except NodeError as refused:
            if isinstance(refused.error, Fenced):
                self.emit(Note("the lease was taken over by another deployer", session.name))
        except MikoshiError:
            return

    async def _connect(self, address: Address) -> None:
        begun = self.clock.monotonic()
        try:
            channel = await self.transport.open(address)
            session = NodeSession(address.name, channel, self._listener(address.name))
            self.sessions[address.name] = session
            reply = await self.ask(address.name, self._hello(address))
            view = node_view_from_json(reply.fields)
        except MikoshiError as error:
            await self._drop(address.name)
            self.errors[address.name] = error.on(address.name, "connect")
            self.emit(NodeLost(address.name, to_wire(error)))
            return
        self.views[address.name] = view
        self.emit(NodeReached(address.name, self.clock.monotonic() - begun))
        for warning in view.warnings:
            self.emit(Note(warning, address.name))

    def _hello(self, address: Address) -> Hello:
        path = self.target.path
        if address.label:
            path = str(Path(path or "~/mikoshi").expanduser() / address.label)
        return Hello(self.target.app, self.target.env, path, self.target.run_as)

    def _listener(self, node: str) -> Callable[[Output | StepStarted], None]:
        def heard(event: Output | StepStarted) -> None:
            if isinstance(event, Output):
                self.emit(NodeOutput(node, event.source, event.line))
            else:
                self.emit(StepBegan(node, event.step))

        return heard

    async def _drop(self, node: str) -> None:
        session = self.sessions.pop(node, None)
        self.views.pop(node, None)
        if session is not None:
            _add(self._ended, session)
            await session.close()


def _add(total: Usage, session: NodeSession) -> None:
    traffic = session.channel.traffic
    total.connects += traffic.connects
    total.round_trips += session.round_trips
    total.bytes_sent += traffic.bytes_sent
    total.bytes_received += traffic.bytes_received
