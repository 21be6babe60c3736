"""One deploy from the first connection to the last record, in the order of DESIGN §3.

lease → observe → plan → apply → record. `plan` and `deploy` share every line up to `apply`: a dry run is a plan that
is returned and not applied.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mikoshi.core import rollout as r
from mikoshi.core.deployment import DONE, FAILED, REVERTING, Deployment, FleetRecord, Settings, secret_mac
from mikoshi.core.errors import (
    DeployFailed,
    DiskFull,
    Held,
    InfrastructureError,
    InodesExhausted,
    MikoshiError,
    NodeFailure,
    PathUnusable,
    ProtocolMismatch,
    WrongUsage,
    brief,
    to_wire,
)
from mikoshi.core.events import AttemptBegan, CommandEnded, NodeFailed, NodeReverted, Note, RevertBegan
from mikoshi.core.messages import Revert, SettingsKey, UpdateRecord
from mikoshi.core.plan import FinishRevert, Plan
from mikoshi.core.release import Manifest
from mikoshi.core.rollout import Policy
from mikoshi.engine.attempt import Attempt
from mikoshi.engine.content import Content, Spools
from mikoshi.engine.fleet import Fleet
from mikoshi.engine.probing.probe import Probe, watched
from mikoshi.styles.push import commands
from mikoshi.styles.push.observe import FleetView, fleet_view
from mikoshi.styles.push.reconcile import Want, reconcile, way_back


@dataclass(frozen=True)
class Secrets:
    """Today's values, and the names for which there is none here (a rollback then keeps what the nodes have)."""

    values: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What is to run: content, and settings once the secrets' hashes are known. `origin` as in Want."""

    content: Content
    settings: Callable[[Mapping[str, str]], Settings]
    secrets: Secrets
    origin: int = 0
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One command's circumstances.

    `wanted` is called once the nodes have been read; its None means to give up what is unfinished.
    """

    verb: str
    by: str
    message: str
    policy: Policy
    keep: int
    scratch: Path
    wanted: Callable[[Fleet, FleetView], Awaitable[Wanted | None]]
    base_manifest: Callable[[str], Manifest | None]
    foreign_files: Callable[[str], list[str]]
    only: tuple[str, ...] = ()
    probe: Probe | None = None


@dataclass(frozen=True)
class Result:
    """How a command ended: as CommandEnded.outcome, with the deployment and release it is about, and the plan."""

    outcome: str
    seq: int
    release: str
    plan: Plan


async def plan(fleet: Fleet, job: Job) -> Plan:
    """What `deploy` would do now. Changes nothing."""
    await _connect(fleet, job)
    observed = _observe(fleet, job)
    wanted = await job.wanted(fleet, observed)
    return reconcile(observed, await _want(fleet, wanted, observed, job, create_key=False))


async def deploy(fleet: Fleet, job: Job) -> Result:
    """Bring the fleet to what the job wants.

    Raises DeployFailed for a failure after the attempt began, Held if somebody else is at work, and other errors if
    nothing was begun.
    """
    begun = fleet.clock.monotonic()
    async with watched(job.probe):
        result = await _carry_out(fleet, job)
        seconds = fleet.clock.monotonic() - begun
    fleet.emit(CommandEnded(result.outcome, result.seq, result.release, seconds, **vars(fleet.usage())))
    return result


async def _carry_out(fleet: Fleet, job: Job) -> Result:
    await _connect(fleet, job)
    observed = _observe(fleet, job)
    wanted = await job.wanted(fleet, observed)
    made = reconcile(observed, await _want(fleet, wanted, observed, job, create_key=False))
    if made.empty:
        return Result("nothing to do", made.seq, made.release, made)
    if job.probe is not None:
        await job.probe.begin(expected=observed.stable is not None)
    async with fleet.leases(job.by, job.message or job.verb):
        observed = _observe(fleet, job)
        want = await _want(fleet, wanted, observed, job, create_key=True)
        made = reconcile(observed, want)
        if made.empty:
            return Result("nothing to do", made.seq, made.release, made)
        await _take_over_records(fleet, observed)
        with contextlib.ExitStack() as scratch:
            outcome = await _apply(fleet, job, wanted, want, observed, made, scratch)
        return Result(outcome, made.seq, made.release, made)


async def _connect(fleet: Fleet, job: Job) -> None:
    """Reach every node; with `--only` those, and the anchor for its record."""
    await fleet.connect((*job.only, fleet.target.anchor) if job.only else ())


def _observe(fleet: Fleet, job: Job) -> FleetView:
    """The fleet as one value; raises if too much of it is out of reach to begin anything."""
    target = fleet.target
    if target.anchor in fleet.errors:
        raise fleet.errors[target.anchor]
    names = tuple(address.name for address in target.addresses)
    lost = tuple(name for name in names if name in fleet.errors)
    needed = [name for name in lost if not job.only or name in job.only]
    if len(needed) > (0 if job.only else job.policy.max_unreachable):
        causes = [fleet.errors[name] for name in needed]
        raise causes[0] if len(causes) == 1 else DeployFailed(0, 4, causes, [], 0, [])
    views = {name: fleet.views[name] for name in names if name in fleet.views}
    return fleet_view(views, lost, target.anchor)


async def _want(fleet: Fleet, wanted: Wanted | None, observed: FleetView, job: Job, *, create_key: bool) -> Want:
    """What is wanted, with the secrets hashed under the environment's key."""
    if wanted is None:
        return Want(abort=True)
    names = (*wanted.secrets.values, *wanted.secrets.kept)
    macs: dict[str, str] = {}
    if names:
        reply = await fleet.ask(fleet.target.anchor, SettingsKey(create=create_key))
        key = bytes.fromhex(reply.fields["key"])
        macs = {name: secret_mac(key, name, value) for name, value in wanted.secrets.values.items()}
        stable = observed.stable.settings.secrets if observed.stable else {}
        macs.update((name, stable.get(name, "")) for name in wanted.secrets.kept)
    return Want(wanted.content.release, wanted.settings(macs), wanted.origin, job.only)


# ── applying ───────────────────────────────────────────────────────────────────────────────────────────────────


async def _apply(
    fleet: Fleet,
    job: Job,
    wanted: Wanted | None,
    want: Want,
    observed: FleetView,
    made: Plan,
    scratch: contextlib.ExitStack,
) -> str:
    """Carry the plan out; returns the outcome, or raises DeployFailed."""
    for action in made.actions:
        if isinstance(action, FinishRevert):
            await _finish_revert(fleet, job, observed, action, stop=made.stop)
    if made.stop:
        return "reverted"
    if wanted is None:
        raise WrongUsage("there is nothing unfinished to give up")
    record = _record(fleet, job, wanted.content, want, made) if made.new else observed.records[made.seq]
    if made.new:
        await _create(fleet, record)
    fleet.emit(AttemptBegan(made.seq, made.release, made.stable, resumed=not made.new, reasons=_reasons(made)))
    if not made.nodes:
        await _settle(fleet, job, record, DONE, tuple(fleet.sessions), ())
        return "done"
    attempt = Attempt(
        fleet, made, record, wanted.content, scratch.enter_context(Spools(wanted.content, job.scratch)),
        wanted.secrets.values, wanted.secrets.kept, job.base_manifest, job.foreign_files,
        lambda view: way_back(observed, view, record), job.probe,
    )  # fmt: skip
    state = await attempt.run(_begin(fleet, job, observed, made))
    return await _conclude(fleet, job, attempt, state)


def _begin(fleet: Fleet, job: Job, observed: FleetView, made: Plan) -> r.Result:
    """The rollout's begin. Nodes out of reach when an attempt is resumed may have flipped in it before."""
    away = observed.unreachable if not job.only else ()
    resumed = not made.new and made.stable != made.seq
    policy = job.probe.gating(job.policy) if job.probe is not None else job.policy
    return r.begin(
        policy, (*made.nodes, *away), fleet.clock.monotonic(), made.staged, made.flipped, made.failed,
        lost=() if resumed else away, adrift=away if resumed else (), touched=made.touched,
    )  # fmt: skip


def _record(fleet: Fleet, job: Job, content: Content, want: Want, made: Plan) -> FleetRecord:
    """The fleet's record of a new deployment."""
    deployment = Deployment(
        seq=made.seq,
        release=content.release,
        settings_digest=want.settings.digest(),
        by=job.by,
        at=fleet.clock.now(),
        message=job.message,
        origin=want.origin or made.seq,
        commit=content.commit,
    )
    hosts = tuple(address.name for address in fleet.target.addresses)
    return FleetRecord(deployment, want.settings, made.stable, hosts)


async def _take_over_records(fleet: Fleet, observed: FleetView) -> None:
    """Copy what a former anchor knows to the present one, before anything is decided by it alone."""
    for record in observed.foreign:
        await fleet.ask(fleet.target.anchor, commands.create_record(record))


async def _create(fleet: Fleet, record: FleetRecord) -> None:
    reply = await fleet.ask(fleet.target.anchor, commands.create_record(record))
    if not reply.fields["created"]:
        detail = f"deployment {record.seq} exists already although the lease is held"
        raise ProtocolMismatch(detail).on(fleet.target.anchor)


def _reasons(made: Plan) -> tuple[str, ...]:
    return next((tuple(reasons) for action in made.actions if (reasons := getattr(action, "reasons", None))), ())


async def _finish_revert(fleet: Fleet, job: Job, observed: FleetView, action: FinishRevert, *, stop: bool) -> None:
    """Bring an unfinished attempt's nodes back, and close its record. Raises DeployFailed if that cannot be done."""
    record = observed.records[action.seq]
    if record.outcome != REVERTING:
        await fleet.ask_again(fleet.target.anchor, UpdateRecord(action.seq, REVERTING, 0.0, (action.reason,)))
    if job.probe is not None:
        job.probe.switching()
    fleet.emit(RevertBegan(action.seq, record.stable))
    causes: list[MikoshiError] = []
    for node, back in action.nodes.items():
        try:
            await fleet.ask_again(node, Revert(back))
        except Held:
            raise
        except MikoshiError as error:
            causes.append(error.on(node, "revert"))
            fleet.emit(NodeFailed(node, to_wire(error), restored=False))
        else:
            fleet.emit(NodeReverted(node, back))
    if causes:
        changed = sorted({cause.node for cause in causes})
        raise DeployFailed(action.seq, 7, causes, changed, record.stable, [])
    await fleet.ask_again(fleet.target.anchor, UpdateRecord(action.seq, FAILED, fleet.clock.now(), (action.reason,)))
    await _settle(fleet, job, record, FAILED, tuple(fleet.sessions), (action.reason,))
    if stop and job.verb == "deploy":
        raise DeployFailed(action.seq, 6, [], [], record.stable, [])


async def _conclude(fleet: Fleet, job: Job, attempt: Attempt, state: r.State) -> str:
    """Record how the rollout ended: on the anchor first, which is the commit point, then on every node."""
    record, good = attempt.record, state.outcome == r.COMPLETE
    causes = tuple(brief(cause) for cause in attempt.causes)
    if record.unfinished and job.only:
        return _conclude_part(fleet, attempt, state)
    if state.outcome == r.UNTOUCHED and _exit(state, attempt.causes) == 4:
        # The record stays open: what is staged by then counts when the same command goes on.
        await _require_lease(fleet)
        raise DeployFailed(record.seq, 4, attempt.causes, [], record.stable, [])
    unrecorded = await _close(fleet, attempt, DONE if good else FAILED, causes) if record.unfinished else None
    if unrecorded and good:
        raise DeployFailed(record.seq, 7, [*attempt.causes, unrecorded], [fleet.target.anchor], record.stable, [])
    if good:
        await _settle(fleet, job, record, DONE, state.at(r.FLIPPED), causes)
        await _settle(fleet, job, record, FAILED, state.at(r.FAILED), causes)
        for node in state.at(r.FAILED, r.LOST, r.ADRIFT):
            fleet.emit(Note("left behind within the failure budget; the next deploy brings it along", node))
        return "done"
    await _settle(fleet, job, record, FAILED, state.order, causes)
    changed = list(state.at(r.STUCK))
    raise DeployFailed(record.seq, _exit(state, attempt.causes), attempt.causes, changed, record.stable, [])


async def _require_lease(fleet: Fleet) -> None:
    """Whoever lost the anchor must not say what runs before knowing that nobody took over. Raises Held."""
    if fleet.is_lost(fleet.target.anchor):
        with contextlib.suppress(InfrastructureError):
            await fleet.reconnect(fleet.target.anchor)


async def _close(fleet: Fleet, attempt: Attempt, outcome: str, causes: tuple[str, ...]) -> MikoshiError | None:
    """Close the record on the anchor; what stands in the way, if the anchor is out of reach."""
    try:
        await fleet.ask_again(fleet.target.anchor, UpdateRecord(attempt.record.seq, outcome, fleet.clock.now(), causes))
    except InfrastructureError as error:
        return error.on(fleet.target.anchor)
    return None


def _conclude_part(fleet: Fleet, attempt: Attempt, state: r.State) -> str:
    """With `--only`, an unfinished attempt stays unfinished: the other nodes decide with the next deploy."""
    if state.outcome == r.COMPLETE:
        fleet.emit(Note(f"deployment {attempt.record.seq} is still unfinished; a deploy without --only ends it"))
        return "done"
    changed = list(state.at(r.STUCK))
    exit_code = _exit(state, attempt.causes)
    raise DeployFailed(attempt.record.seq, exit_code, attempt.causes, changed, attempt.record.stable, [])


def _exit(state: r.State, causes: list[MikoshiError]) -> int:
    if state.outcome == r.PARTIAL:
        return 7
    if state.outcome == r.REVERTED:
        return 6
    unreachable = [cause for cause in causes if not isinstance(cause, (DiskFull, InodesExhausted, PathUnusable))]
    return 4 if unreachable and all(isinstance(cause, InfrastructureError) for cause in unreachable) else 5


async def _settle(
    fleet: Fleet, job: Job, record: FleetRecord, outcome: str, nodes: tuple[str, ...], causes: tuple[str, ...]
) -> None:
    """Tell nodes how the attempt ended, and let them prune. Who cannot be told is told by the next deploy."""
    stable = record.seq if DONE in (outcome, record.outcome) else record.stable
    reachable = [node for node in nodes if node in fleet.sessions]
    await asyncio.gather(*(_settle_one(fleet, job, record, outcome, node, stable, causes) for node in reachable))


async def _settle_one(
    fleet: Fleet, job: Job, record: FleetRecord, outcome: str, node: str, stable: int, causes: tuple[str, ...]
) -> None:
    deployment, now, before = record.deployment, fleet.clock.now(), fleet.views[node].current
    entry = {
        "seq": deployment.seq,
        "release": deployment.release,
        "from": before if before != deployment.seq else record.stable,
        "to": deployment.seq if outcome == DONE else stable,
        "verb": job.verb,
        "by": deployment.by,
        "message": deployment.message,
        "at": deployment.at,
        "ended": now,
        "seconds": round(now - deployment.at, 3),
        "result": outcome,
        "causes": list(causes),
    }
    protect = (stable, record.stable, before, *([record.seq] if outcome == DONE else []))
    try:
        await fleet.ask(node, commands.settle(deployment.seq, outcome, stable, job.keep, protect, entry))
    except (InfrastructureError, NodeFailure) as error:
        fleet.emit(NodeFailed(node, to_wire(error), restored=True))
