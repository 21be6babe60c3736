"""One rollout carried out: each action of core.rollout becomes requests to a node, each answer an event.

The effects of a deployment on nodes are here and nowhere else. The machine decides; this file never does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from mikoshi.core import rollout as r
from mikoshi.core import transfer
from mikoshi.core.deployment import REVERTING, FleetRecord
from mikoshi.core.errors import (
    ContentCorrupt,
    ContentMissing,
    ForeignPlatform,
    Held,
    InfrastructureError,
    MikoshiError,
    ProbeBudgetExceeded,
    TreeEdited,
    brief,
    to_wire,
)
from mikoshi.core.events import (
    BakeBegan,
    NodeFailed,
    NodeFlipped,
    NodeLost,
    NodeReverted,
    Note,
    ProbeFailed,
    RevertBegan,
    StageBegan,
    StageEnded,
    StageProgress,
    WaveBegan,
)
from mikoshi.core.messages import Activate, Alive, NodeView, Revert, StageEnd, UpdateRecord
from mikoshi.core.plan import Plan
from mikoshi.core.release import Manifest
from mikoshi.engine.content import Content, Spools
from mikoshi.engine.fleet import Fleet
from mikoshi.engine.probing.probe import Probe
from mikoshi.engine.session import NodeError
from mikoshi.styles.push import commands
from mikoshi.styles.push.reconcile import base_release

_STAGE_TRIES = 2


@dataclass
class Attempt:
    """A rollout under way. `secrets` are this deployment's values, `kept_secrets` the names whose values nodes keep.

    `way_back` says where a node goes back to that the plan knows nothing of.
    """

    fleet: Fleet
    plan: Plan
    record: FleetRecord
    content: Content
    spools: Spools
    secrets: Mapping[str, str]
    kept_secrets: tuple[str, ...]
    base_manifest: Callable[[str], Manifest | None]
    foreign_files: Callable[[str], list[str]]
    way_back: Callable[[NodeView], int]
    probe: Probe | None = None
    causes: list[MikoshiError] = field(default_factory=list)
    _verdict: ProbeBudgetExceeded | None = None
    _events: asyncio.Queue[r.Event | Exception] = field(default_factory=asyncio.Queue)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, begun: r.Result) -> r.State:
        """Drive the rollout to its end; returns the final state. Cancelled, it stops where it is and can be resumed.

        Raises Fenced if another deployer took over, and whatever the anchor's record could not be changed for.
        """
        state, actions = begun
        try:
            await self._perform(state, actions)
            while state.phase != r.ENDED:
                event = await self._events.get()
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, r.GateFailed):
                    self._gate_failed(state)
                state, actions = r.step(state, event, self.fleet.clock.monotonic())
                await self._perform(state, actions)
            return state
        finally:
            if self.probe is not None:
                self.probe.release()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _perform(self, state: r.State, actions: r.Actions) -> None:
        self._tell_probe(actions)
        flips = tuple(action.node for action in actions if isinstance(action, r.Flip))
        if flips:
            self.fleet.emit(WaveBegan(state.waves, flips))
        for action in actions:
            if isinstance(action, r.BeginRevert):
                await self._begin_revert()
            elif not isinstance(action, r.End):
                task = asyncio.create_task(self._answer(self._doing(action)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _answer(self, doing: Awaitable[r.Event]) -> None:
        try:
            self._events.put_nowait(await doing)
        except Exception as error:  # noqa: BLE001 - handed on: `run` raises it
            self._events.put_nowait(error)

    def _doing(self, action: r.Stage | r.Flip | r.Bake | r.CheckAlive | r.AskGate | r.Revert) -> Awaitable[r.Event]:
        match action:
            case r.Stage(node):
                return self._stage(node)
            case r.Flip(node, _):
                return self._flip(node)
            case r.CheckAlive(node):
                return self._check_alive(node)
            case r.Revert(node):
                return self._revert(node)
            case r.Bake(until):
                return self._bake(until)
            case r.AskGate():
                return self._ask_gate()

    async def _begin_revert(self) -> None:
        """Recorded before any node goes back: whoever resumes must never go forward again.

        Where the anchor is out of reach, the verdict that the other nodes get at the end says the same.
        """
        if self.record.unfinished:
            causes = tuple(brief(cause) for cause in self.causes)
            try:
                update = UpdateRecord(self.record.seq, REVERTING, 0.0, causes)
                await self.fleet.ask_again(self.fleet.target.anchor, update)
            except InfrastructureError as error:
                self.fleet.emit(NodeLost(self.fleet.target.anchor, to_wire(error)))
        self.fleet.emit(RevertBegan(self.record.seq, self.plan.stable))

    # ── one action each ────────────────────────────────────────────────────────────────────────────────────

    async def _stage(self, node: str) -> r.Event:
        begun = self.fleet.clock.monotonic()
        for last in (*[False] * (_STAGE_TRIES - 1), True):
            try:
                received, reused = await self._stage_once(node)
            except NodeError as refused:
                again = isinstance(refused.error, (ContentCorrupt, ContentMissing, TreeEdited))
                if again and not last:
                    continue
                return self._failed(node, refused)
            except MikoshiError as error:
                return self._broken(node, error)
            seconds = self.fleet.clock.monotonic() - begun
            self.fleet.emit(StageEnded(node, received, reused, seconds))
            return r.Staged(node)
        raise AssertionError("the last try returns")

    async def _stage_once(self, node: str) -> tuple[int, int]:
        """Bring what is missing to the node; returns the bytes received and reused there."""
        session = self.fleet.sessions[node]
        settings = self.record.settings.for_host(node)
        environment = commands.environment_blob(settings, self.secrets, self.kept_secrets)
        content = (self.content.manifest, self.content.index)
        stage = partial(commands.stage, self.record.deployment, settings, content, environment=environment)
        base = self.base_manifest(base_release(self.fleet.views[node]))
        try:
            request, blobs = stage(base=base)
            reply = await session.request(request, *blobs)
        except NodeError as refused:
            if not isinstance(refused.error, ContentMissing) or base is None:
                raise
            request, blobs = stage(base=None)
            reply = await session.request(request, *blobs)
        if reply.fields["staged"]:
            return 0, self.content.manifest.size()
        await self._send(node, reply.blobs[0], int(reply.fields["missing_bytes"]))
        done = await session.request(StageEnd(self.record.seq))
        for seq, paths in done.fields["edited"].items():
            self.fleet.emit(Note(f"deployment {seq} was edited by hand here: {', '.join(paths)}", node))
        return int(done.fields["received"]), int(done.fields["reused"])

    async def _send(self, node: str, missing: bytes, total: int) -> None:
        if not transfer.numbers(missing):
            return
        self.fleet.emit(StageBegan(node, total))
        sent = 0
        async for encoded, size in self.spools.spool(missing).frames():
            await self.fleet.sessions[node].send_content(encoded)
            sent += size
            self.fleet.emit(StageProgress(node, sent, total))

    async def _flip(self, node: str) -> r.Event:
        begun = self.fleet.clock.monotonic()
        request = Activate(self.record.seq, self.plan.back.get(node, 0))
        try:
            await self._ask_repairing(node, request)
        except NodeError as refused:
            return self._failed(node, refused)
        except MikoshiError as error:
            return self._broken(node, error)
        self.fleet.emit(NodeFlipped(node, self.record.seq, self.fleet.clock.monotonic() - begun))
        return r.Flipped(node)

    async def _ask_repairing(self, node: str, request: Activate) -> None:
        """Activate; a tree that somebody edited since it was staged is staged again first, once."""
        session = self.fleet.sessions[node]
        try:
            await session.request(request)
        except NodeError as refused:
            if not isinstance(refused.error, TreeEdited) or refused.error.seq != self.record.seq:
                raise
            self.fleet.emit(NodeFailed(node, to_wire(refused.error), restored=True))
            await self._stage_once(node)
            await session.request(request)

    async def _check_alive(self, node: str) -> r.Event:
        try:
            await self.fleet.sessions[node].request(Alive())
        except NodeError as refused:
            return self._failed(node, refused)
        except MikoshiError as error:
            return self._broken(node, error)
        return r.Alive(node)

    async def _revert(self, node: str) -> r.Event:
        try:
            back = await self._back(node)
            await self.fleet.ask_again(node, Revert(back))
        except Held:
            raise
        except MikoshiError as error:
            self.causes.append(error.on(node, "revert"))
            self.fleet.emit(NodeFailed(node, to_wire(error), restored=False))
            return r.RevertFailed(node)
        self.fleet.emit(NodeReverted(node, back))
        return r.Reverted(node)

    async def _back(self, node: str) -> int:
        """Where the node goes back to; one that was out of reach when the plan was made is read first."""
        if node not in self.plan.back:
            await self.fleet.reconnect(node)
            return self.way_back(self.fleet.views[node])
        return self.plan.back[node]

    async def _bake(self, until: float) -> r.Event:
        seconds = until - self.fleet.clock.monotonic()
        self.fleet.emit(BakeBegan(seconds))
        await self.fleet.clock.sleep(max(0.0, seconds))
        return r.Tick()

    # ── the probe ──────────────────────────────────────────────────────────────────────────────────────────

    def _tell_probe(self, actions: r.Actions) -> None:
        """Failures count from before the first node changes; once the rollout goes back there is nothing to decide."""
        if self.probe is None:
            return
        if any(isinstance(action, (r.Flip, r.Bake, r.AskGate, r.BeginRevert)) for action in actions):
            self.probe.switching()
            self.probe.guard(self._over_budget)
        if any(isinstance(action, r.BeginRevert) for action in actions):
            self.probe.release()

    def _over_budget(self, verdict: ProbeBudgetExceeded) -> None:
        self._verdict = verdict
        self._events.put_nowait(r.GateFailed())

    async def _ask_gate(self) -> r.Event:
        """Whoever listens has heard of every failure once the requests that began before are over."""
        if self.probe is not None:
            await self.probe.settled()
        return r.GatePassed()

    def _gate_failed(self, state: r.State) -> None:
        """Tell why it goes back, unless it goes back already."""
        if self._verdict is not None and state.phase != r.REVERTING:
            self.causes.append(self._verdict)
            self.fleet.emit(ProbeFailed(to_wire(self._verdict)))

    # ── what went wrong ────────────────────────────────────────────────────────────────────────────────────

    def _failed(self, node: str, refused: NodeError) -> r.Event:
        error = refused.error.on(node)
        if isinstance(error, Held):
            raise error
        if isinstance(error, ForeignPlatform) and not error.files:
            error.files = self.foreign_files(error.platform)
        self.causes.append(error)
        self.fleet.emit(NodeFailed(node, to_wire(error), refused.restored))
        return r.Failed(node, refused.restored)

    def _broken(self, node: str, error: MikoshiError) -> r.Event:
        """The conversation broke: the node is out of reach."""
        if not isinstance(error, InfrastructureError):
            raise error
        self.causes.append(error.on(node))
        self.fleet.emit(NodeLost(node, to_wire(error)))
        return r.Lost(node)
