"""A fleet in one process: the real deployer on real node engines, without wires, and faults at any moment.

Only the connection is a model: a request is a call, so that one run does the same things in the same order each time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mikoshi.core import frames
from mikoshi.core.address import Address
from mikoshi.core.deployment import FAILED, REVERTING, Settings
from mikoshi.core.errors import ConnectionLost, HealthFailed, HostUnreachable, MikoshiError, from_wire
from mikoshi.core.messages import Output, Request, StepStarted, to_message
from mikoshi.core.release import Manifest
from mikoshi.core.rollout import Policy
from mikoshi.core.transfer import Place
from mikoshi.engine import deploy as engine
from mikoshi.engine.content import Content
from mikoshi.engine.deploy import Job, Result, Secrets, Wanted
from mikoshi.engine.fleet import Fleet, Target
from mikoshi.engine.session import NodeError, Reply
from mikoshi.node import fleet as records
from mikoshi.node.deployments import Deployments, Stored
from mikoshi.node.files import OpenFile
from mikoshi.node.paths import EnvironmentPaths
from mikoshi.node.server import Server
from mikoshi.node.workspace import Workspace
from mikoshi.ports.transport import Traffic
from mikoshi.styles.push.observe import FleetView
from mikoshi.styles.push.reconcile import rollback_target
from tests.node.client import APP, ENV, Built, build
from tests.node.in_process import UnsyncedFiles

SETTINGS = Settings(processes={"web": {"listen": "127.0.0.1:1"}})


class EngineKilled(BaseException):
    """The engine died in the middle of something; nothing in it may catch this."""


@dataclass
class Faults:
    """What goes wrong during one command.

    `sick`: nodes on which a release that is not the last good one fails its check. `down`: node → how many
    connections it refuses before it is back. `deployer_dies`, `connection_breaks`: at which request, and whether that
    was carried out by then. `engine_dies`: at which of the engines' file operations.
    """

    sick: frozenset[str] = frozenset()
    down: Mapping[str, int] = field(default_factory=dict)
    deployer_dies: tuple[int, bool] | None = None
    connection_breaks: tuple[int, bool] | None = None
    engine_dies: int = 0


class _Files(UnsyncedFiles):
    """The engines' changes: counted, one of them deadly, and every switch shown to the world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def create(self, path: str, mode: int = 0o644) -> OpenFile:
        """As Files."""
        self._world.operation()
        return super().create(path, mode)

    def append(self, path: str, data: bytes) -> None:
        """As Files."""
        self._world.operation()
        super().append(path, data)
        self._world.operation()

    def unlink(self, path: str) -> None:
        """As Files."""
        self._world.operation()
        super().unlink(path)

    def rename(self, source: str, target: str) -> None:
        """As Files."""
        self._world.operation()
        if os.path.basename(target) == "current":
            self._world.switching(os.path.dirname(target), int(os.readlink(source).split("/")[1]))
        super().rename(source, target)
        self._world.operation()


class _Wire:
    """What a server uses of its wire: the answers are kept, and the session has not ended."""

    ended = False

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []

    def send(self, message: dict[str, Any], blobs: list[bytes] = []) -> None:  # noqa: B006 - never changed
        """Keep a message."""
        self.sent.append((message, blobs))


class _Channel:
    """A way to a new engine."""

    def __init__(self, world: World) -> None:
        self.world, self.traffic = world, Traffic()


class Session:
    """mikoshi.engine.session.NodeSession on an engine in this process."""

    def __init__(self, name: str, channel: _Channel, _on_event: Callable[[Output | StepStarted], None]) -> None:
        self.name, self.channel, self.round_trips = name, channel, 0
        self.lost: MikoshiError | None = None
        self._world, self._wire = channel.world, _Wire()
        self._server = Server(self._wire, _Files(self._world))  # type: ignore[arg-type] # what it uses of a wire
        self._turn = asyncio.Lock()

    async def request(self, request: Request, *blobs: bytes, urgent: bool = False) -> Reply:
        """As NodeSession."""
        async with self._turn:
            await asyncio.sleep(0)
            if self.lost is not None:
                raise self.lost
            how = self._world.request()
            if how == "die before":
                self._world.deployer_died()
            if how == "break before":
                raise self._break()
            reply = self._carry_out(request, blobs)
            if how == "die after":
                self._world.deployer_died()
            if how == "break after":
                raise self._break()
            return reply

    def _carry_out(self, request: Request, blobs: tuple[bytes, ...]) -> Reply:
        self._wire.sent.clear()
        try:
            self._server._answer({**to_message(request), "id": 1}, list(blobs))
        except EngineKilled:
            raise self._killed() from None
        message, attached = self._wire.sent[-1]
        if "error" in message:
            error = from_wire(message["error"]).on(self.name)
            raise NodeError(error, restored=bool(message.get("restored", True)))
        return Reply(message["ok"], tuple(attached))

    async def send_content(self, encoded: bytes) -> None:
        """As NodeSession."""
        if self.lost is not None:
            raise self.lost
        try:
            for frame in frames.FrameReader().feed(encoded):
                self._server._take(frame)
        except EngineKilled:
            raise self._killed() from None

    async def close(self) -> None:
        """As NodeSession."""
        self._break()

    def _killed(self) -> MikoshiError:
        """The engine is dead: a lease that it had just taken binds nobody, though it never came to know its token."""
        leases = self._server._work.leases if self._server._work else None
        if leases is not None:
            leases.token = leases.read().token
        return self._break()

    def _break(self) -> MikoshiError:
        """The session ends; its engine is gone, or ends too and gives the lease back."""
        if self.lost is None:
            self.lost = ConnectionLost("a request", "").on(self.name)
            work = self._server._work
            if work is not None:
                self._world.unharmed(work.leases.release)
        return self.lost


class _Clock:
    """Time that stands still while something is done; long waits last until they are cancelled."""

    def now(self) -> float:
        """Always the same: people's time decides nothing."""
        return 1.0

    def monotonic(self) -> float:
        """The loop's own."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Short waits are over at once."""
        await asyncio.sleep(0 if seconds < 1 else seconds)


class _Reader:
    """Chunks of a release in memory."""

    def __init__(self, built: Built) -> None:
        self._contents = built.contents

    def read(self, place: Place) -> bytes:
        """As engine.content.ChunkReader."""
        return self._contents[place.file][place.offset : place.offset + place.chunk.size]


class World:
    """Nodes below a directory, and what happened to them. `violations` are broken promises, as text."""

    def __init__(self, root: Path, names: tuple[str, ...], policy: Policy) -> None:
        self.root, self.names, self.policy = root, names, policy
        self.builds: dict[str, Built] = {}
        self.violations: list[str] = []
        self.faults = Faults()
        self._requests = self._operations = 0
        self._wanted_release = ""
        self._refusals: dict[str, int] = {}
        self._task: asyncio.Task[Result] | None = None
        self._dead = False

    # ── what is there ──────────────────────────────────────────────────────────────────────────────────────────

    def paths(self, node: str) -> EnvironmentPaths:
        """Where a node's files stand."""
        return EnvironmentPaths(str(self.root / node), APP, ENV)

    def current(self, node: str) -> int:
        """What a node runs."""
        return Deployments(self.paths(node)).current()

    def records(self) -> dict[int, dict[str, Any]]:
        """The anchor's records by number."""
        return {int(row["deployment"]["seq"]): row for row in records.records(self.paths(self.names[0]))}

    # ── commands ───────────────────────────────────────────────────────────────────────────────────────────────

    def deploy(self, number: int, faults: Faults) -> Result | BaseException:
        """`mikoshi deploy` of the release with this number."""
        built = build({"app": b"release %d" % number, "same": b"the same"})
        self.builds[built.id] = built

        async def wanted(_fleet: Fleet, _observed: FleetView) -> Wanted:
            return Wanted(self._content(built), lambda _macs: SETTINGS, Secrets())

        return self._command("deploy", wanted, faults, built.id)

    def rollback(self, faults: Faults) -> Result | BaseException:
        """`mikoshi rollback`."""

        async def wanted(_fleet: Fleet, observed: FleetView) -> Wanted | None:
            if observed.unfinished is not None:
                return None
            target = rollback_target(observed)
            built = self.builds[target.deployment.release]
            return Wanted(self._content(built), lambda _macs: SETTINGS, Secrets(), target.deployment.origin)

        return self._command("rollback", wanted, faults, "")

    def _content(self, built: Built) -> Content:
        return Content(built.id, built.manifest, built.index, _Reader(built))

    def _command(
        self, verb: str, wanted: Callable[[Fleet, FleetView], Any], faults: Faults, release: str
    ) -> Result | BaseException:
        self.faults, self._wanted_release = faults, release
        self._requests = self._operations = 0
        self._refusals, self._dead = dict(faults.down), False
        job = Job(verb, "simulation", "", self.policy, 2, self.root / "scratch", wanted, self._manifest, lambda _: [])
        return asyncio.run(self._run(job))

    async def _run(self, job: Job) -> Result | BaseException:
        addresses = tuple(Address(name, label=name) for name in self.names)
        target = Target(APP, ENV, addresses, self.names[0], str(self.root), "")
        async with Fleet(target, self, _Clock(), lambda _event: None) as fleet:  # type: ignore[arg-type]
            self._task = asyncio.ensure_future(engine.deploy(fleet, job))
            (outcome,) = await asyncio.gather(self._task, return_exceptions=True)
            return outcome

    def _manifest(self, release: str) -> Manifest | None:
        return self.builds[release].manifest if release else None

    async def open(self, address: Address) -> _Channel:
        """As ports.transport.Transport."""
        await asyncio.sleep(0)
        if self._refusals.get(address.name, 0) > 0:
            self._refusals[address.name] -= 1
            raise HostUnreachable(address.name, "refused").on(address.name)
        return _Channel(self)

    # ── faults ─────────────────────────────────────────────────────────────────────────────────────────────────

    def request(self) -> str:
        """One more request: what happens at it, "" for nothing."""
        if self._dead:
            raise asyncio.CancelledError
        self._requests += 1
        for word, fault in (("die", self.faults.deployer_dies), ("break", self.faults.connection_breaks)):
            if fault is not None and fault[0] == self._requests:
                return f"{word} {'after' if fault[1] else 'before'}"
        return ""

    def deployer_died(self) -> None:
        """Nothing is done by it any more."""
        assert self._task is not None
        self._dead = True
        self._task.cancel()
        raise asyncio.CancelledError

    def operation(self) -> None:
        """One more operation of an engine; it may be its last."""
        self._operations += 1
        if self._operations == self.faults.engine_dies:
            raise EngineKilled

    def unharmed(self, act: Callable[[], None]) -> None:
        """Do something without its operations being counted."""
        counted, self._operations = self._operations, -1 << 30
        act()
        self._operations = counted

    def check_health(self, work: Workspace, stored: Stored) -> None:
        """In place of a real check."""
        node = Path(work.paths.base).name
        if node in self.faults.sick and stored.deployment.release == self._wanted_release:
            raise HealthFailed("web", "http://127.0.0.1:1/", "500", 0.0, [])

    # ── promises ───────────────────────────────────────────────────────────────────────────────────────────────

    def switching(self, environment: str, seq: int) -> None:
        """A node is about to run `seq`: nobody may go to what failed, nor before everybody holds it."""
        node = Path(environment).parent.parent.name
        outcome = self.records()[seq]["outcome"]
        if outcome in (REVERTING, FAILED):
            self.violations.append(f"{node} goes to {seq}, which is {outcome}")
        if outcome == "running" and not self.policy.max_unreachable:
            lacking = [other for other in self.names if not os.path.exists(self.paths(other).deployment(seq).record)]
            if lacking:
                self.violations.append(f"{node} goes to {seq}, which {lacking} do not hold")
