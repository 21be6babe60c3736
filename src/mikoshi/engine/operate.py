"""Commands on what runs: restart and stop, under the leases. Which nodes, in which order; nothing is deployed.

A restart goes in the waves of `rollout`, stepped by the same machine as a deploy. There is one difference: nothing
turns back. A node whose restart failed has its old processes, and one that was restarted runs the same deployment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mikoshi.core import rollout as r
from mikoshi.core.errors import Held, InfrastructureError, MikoshiError, brief, to_wire
from mikoshi.core.events import (
    BakeBegan,
    CommandEnded,
    NodeFailed,
    NodeLost,
    NodeRestarted,
    NodeStopped,
    Note,
    WaveBegan,
)
from mikoshi.core.messages import Alive, NodeView, Remember, Restart, Stop
from mikoshi.core.rollout import Policy
from mikoshi.core.running_errors import NotEverywhere, NothingRuns
from mikoshi.engine.fleet import Fleet
from mikoshi.engine.session import NodeError

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Order:
    """One command's circumstances. `remember` gets the entry of the audit trail, however the command ended."""

    verb: str
    by: str
    message: str
    policy: Policy
    only: tuple[str, ...] = ()
    remember: Callable[[Entry], None] = lambda _entry: None


async def look(fleet: Fleet, order: Order) -> dict[str, NodeView]:
    """The nodes that the order is for, as they are. Raises NotEverywhere if none, or too few, can be reached.

    With `only` the anchor is connected too, for the audit trail; it may be out of reach.
    """
    await fleet.connect((*order.only, fleet.target.anchor) if order.only else ())
    wanted = [address.name for address in fleet.target.addresses if not order.only or address.name in order.only]
    reached = {node: fleet.views[node] for node in wanted if node in fleet.views}
    away = [fleet.errors[node] for node in wanted if node in fleet.errors]
    allowed = len(wanted) - 1 if order.verb == "stop" else 0 if order.only else order.policy.max_unreachable
    if len(away) > allowed:
        raise away[0] if len(wanted) == 1 else NotEverywhere(order.verb, _exit(away), away, [], list(reached))
    return reached


def waves(policy: Policy, nodes: Iterable[str]) -> list[tuple[str, ...]]:
    """The waves in which these nodes are restarted if all goes well. Pure."""
    state, actions = r.begin(replace(policy, bake=0.0), nodes := tuple(nodes), 0.0, staged=nodes)
    found = []
    while flips := tuple(action.node for action in actions if isinstance(action, r.Flip)):
        found.append(flips)
        for node in flips:
            state, actions = r.step(state, r.Flipped(node), 0.0)
    return found


# ── stop ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def stop(fleet: Fleet, order: Order) -> None:
    """End the processes on every node that can be reached. Raises NotEverywhere, LeaseHeld …"""
    begun, nodes = fleet.clock.monotonic(), await look(fleet, order)
    causes = [fleet.errors[node] for node in _names(fleet, order) if node in fleet.errors]
    async with fleet.leases(order.by, order.message or order.verb):
        answers = await asyncio.gather(*(_stop(fleet, node) for node in nodes))
        causes += [answer for answer in answers if answer is not None]
        await _remember(fleet, order, nodes, begun, causes)
    if causes:
        done = [node for node, answer in zip(nodes, answers, strict=True) if answer is None]
        raise NotEverywhere(order.verb, _exit(causes), causes, done, [])
    _ended(fleet, "stopped", nodes, begun)


async def _stop(fleet: Fleet, node: str) -> MikoshiError | None:
    try:
        reply = await fleet.ask_again(node, Stop())
    except Held:
        raise
    except MikoshiError as error:
        return _told(fleet, error.on(node), restored=True)
    fleet.emit(NodeStopped(node, int(reply.fields["ended"])))
    return None


# ── restart ────────────────────────────────────────────────────────────────────────────────────────────────────


async def restart(fleet: Fleet, order: Order) -> None:
    """New processes on every node, wave by wave; the first failure stops it. Raises NotEverywhere, NothingRuns …"""
    begun, nodes = fleet.clock.monotonic(), await look(fleet, order)
    for node in _names(fleet, order):
        if node in fleet.errors:
            fleet.emit(Note("not restarted: out of reach", node))
    async with fleet.leases(order.by, order.message or order.verb):
        running = [node for node in nodes if fleet.views[node].current]
        for node in nodes:
            if node not in running:
                fleet.emit(Note("not restarted: nothing runs there", node))
        if not running:
            raise NothingRuns(list(nodes))
        rolling = _Rolling(fleet)
        await rolling.run(replace(order.policy, max_failures=0, max_unreachable=0), running)
        await _remember(fleet, order, nodes, begun, rolling.causes)
    if rolling.causes:
        untouched = [node for node in running if node not in rolling.begun]
        exit_code = 7 if rolling.broken else _exit(rolling.causes, 6)
        raise NotEverywhere(order.verb, exit_code, rolling.causes, rolling.done, untouched)
    _ended(fleet, "done", nodes, begun)


@dataclass
class _Rolling:
    """A restart under way. `broken`: whether a node is left without what it ran before."""

    fleet: Fleet
    begun: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    causes: list[MikoshiError] = field(default_factory=list)
    broken: bool = False

    async def run(self, policy: Policy, nodes: list[str]) -> None:
        """Drive the rollout's machine to its end: everything is staged already, and flipping is restarting."""
        state, actions = r.begin(policy, nodes, self.fleet.clock.monotonic(), staged=nodes)
        pending: set[asyncio.Task[r.Event]] = set()
        try:
            while True:
                flips = tuple(action.node for action in actions if isinstance(action, r.Flip))
                if flips:
                    self.fleet.emit(WaveBegan(state.waves, flips))
                pending |= {asyncio.create_task(self._do(action)) for action in actions if not _is_idle(action)}
                if not pending:
                    return
                ready, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                actions = ()
                for task in ready:
                    state, more = r.step(state, task.result(), self.fleet.clock.monotonic())
                    actions = (*actions, *more)
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _do(self, action: r.Action) -> r.Event:
        match action:
            case r.Flip(node):
                self.begun.append(node)
                return await self._restart(node)
            case r.CheckAlive(node):
                return await self._check(node)
            case r.Bake(until):
                seconds = until - self.fleet.clock.monotonic()
                self.fleet.emit(BakeBegan(seconds))
                await self.fleet.clock.sleep(max(0.0, seconds))
                return r.Tick()
            case r.Revert(node):
                return r.Reverted(node)  # there is nothing to go back to: it runs what it ran
            case _:
                raise AssertionError(action)

    async def _restart(self, node: str) -> r.Event:
        try:
            reply = await self.fleet.sessions[node].request(Restart())
        except NodeError as refused:
            self.broken = self.broken or not refused.restored
            return self._failed(node, refused.error, restored=refused.restored)
        except MikoshiError as error:
            return self._failed(node, error, restored=True)
        self.done.append(node)
        self.fleet.emit(NodeRestarted(node, self.fleet.views[node].current, float(reply.fields["seconds"])))
        return r.Flipped(node)

    async def _check(self, node: str) -> r.Event:
        """The end of a bake. A node that does not stand it has no old processes any more to go back to."""
        try:
            await self.fleet.ask_again(node, Alive())
        except MikoshiError as error:
            self.broken = self.broken or not isinstance(error, InfrastructureError)
            self.done = [one for one in self.done if one != node]
            return self._failed(node, error, restored=False)
        return r.Alive(node)

    def _failed(self, node: str, error: MikoshiError, *, restored: bool) -> r.Event:
        if isinstance(error, Held):
            raise error.on(node)
        self.causes.append(_told(self.fleet, error.on(node), restored=restored))
        return r.Lost(node) if isinstance(error, InfrastructureError) else r.Failed(node, restored)


def _is_idle(action: r.Action) -> bool:
    return isinstance(action, (r.BeginRevert, r.End))


# ── what both do ───────────────────────────────────────────────────────────────────────────────────────────────


def _names(fleet: Fleet, order: Order) -> list[str]:
    return [address.name for address in fleet.target.addresses if not order.only or address.name in order.only]


def _told(fleet: Fleet, error: MikoshiError, *, restored: bool) -> MikoshiError:
    if isinstance(error, InfrastructureError):
        fleet.emit(NodeLost(error.node, to_wire(error)))
    else:
        fleet.emit(NodeFailed(error.node, to_wire(error), restored))
    return error


def _exit(causes: list[MikoshiError], otherwise: int = 7) -> int:
    return 4 if all(isinstance(cause, InfrastructureError) for cause in causes) else otherwise


async def _remember(
    fleet: Fleet, order: Order, nodes: Mapping[str, NodeView], begun: float, causes: list[MikoshiError]
) -> None:
    """One entry of the audit trail, here and on every node that is connected."""
    seq, release = _running(nodes)
    seconds = fleet.clock.monotonic() - begun
    now = fleet.clock.now()
    entry = {
        "seq": seq, "release": release, "from": seq, "to": seq if order.verb == "restart" else 0,
        "verb": order.verb, "by": order.by, "message": order.message, "at": now - seconds, "ended": now,
        "seconds": round(seconds, 3), "result": "failed" if causes else "done", "causes": [*map(brief, causes)],
    }  # fmt: skip
    order.remember(entry)
    answers = await asyncio.gather(
        *(fleet.ask(node, Remember(entry)) for node in fleet.sessions), return_exceptions=True
    )
    for node, answer in zip(fleet.sessions, answers, strict=True):
        if isinstance(answer, MikoshiError) and not isinstance(answer, InfrastructureError):
            fleet.emit(Note("its history lacks this command", node))


def _running(nodes: Mapping[str, NodeView]) -> tuple[int, str]:
    """The newest deployment that runs on the nodes, and its release."""
    view = max(nodes.values(), key=lambda view: view.current)
    held = view.holds(view.current)
    return view.current, held.release if held else ""


def _ended(fleet: Fleet, outcome: str, nodes: Mapping[str, NodeView], begun: float) -> None:
    seq, release = _running(nodes)
    fleet.emit(CommandEnded(outcome, seq, release, fleet.clock.monotonic() - begun, **vars(fleet.usage())))
