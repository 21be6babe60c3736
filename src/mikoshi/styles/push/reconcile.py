"""(what is wanted, what is there) → what to do. Pure: the same answer for the same arguments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from mikoshi.core.deployment import DONE, FAILED, REVERTING, FleetRecord, Settings
from mikoshi.core.errors import DeploymentUnknown, NothingToRollBackTo, OnlyNeedsDeployed
from mikoshi.core.messages import NodeView
from mikoshi.core.plan import (
    Action,
    CreateDeployment,
    FinishRevert,
    FlipOn,
    Plan,
    ResumeDeployment,
    SettleOn,
    StageOn,
)
from mikoshi.styles.push.observe import FleetView


@dataclass(frozen=True)
class Want:
    """What the fleet shall run. `only`: the nodes to bring there, empty for all.

    `abort`: only give up what is unfinished.
    `origin`: for a rollback the number of the deployment whose content this is, else 0.
    """

    release: str = ""
    settings: Settings = field(default_factory=Settings)
    origin: int = 0
    only: tuple[str, ...] = ()
    abort: bool = False

    def is_content_of(self, record: FleetRecord) -> bool:
        """Whether `record` has this release and these settings."""
        return (self.release, self.settings.digest()) == (
            record.deployment.release,
            record.deployment.settings_digest,
        )


def reconcile(fleet: FleetView, want: Want) -> Plan:
    """The plan for the fleet. Raises OnlyNeedsDeployed if `only` would need a new deployment."""
    unfinished, stable = fleet.unfinished, fleet.stable
    if unfinished is None:
        return _without_attempt(fleet, want, stable)
    wanted = not want.abort and want.is_content_of(unfinished)
    if wanted and not _going_back(fleet, unfinished):
        return _towards(fleet, want, unfinished, stable, resumed=True)
    if want.only and not want.abort:
        raise OnlyNeedsDeployed(changes(unfinished, want), unfinished.seq)
    reverting = _finish_revert(fleet, unfinished, want)
    settled = _after_revert(fleet, unfinished)
    if want.abort or wanted:
        return Plan(
            actions=(reverting,),
            seq=unfinished.seq,
            release=unfinished.deployment.release,
            stable=unfinished.stable,
            nodes=tuple(fleet.nodes),
            stop=True,
        )
    rest = _without_attempt(settled, want, stable)
    return replace(rest, actions=(reverting, *rest.actions))


def _without_attempt(fleet: FleetView, want: Want, stable: FleetRecord | None) -> Plan:
    if want.abort:
        return Plan()
    if stable is not None and want.is_content_of(stable) and not want.origin:
        return _towards(fleet, want, stable, stable, resumed=False)
    reasons = changes(stable, want)
    if want.only:
        raise OnlyNeedsDeployed(reasons, stable.seq if stable else 0)
    seq = fleet.highest + 1
    back = {node: fallback(fleet, view, stable) for node, view in fleet.nodes.items()}
    stages = [StageOn(node, seq, base_release(view), "new deployment") for node, view in fleet.nodes.items()]
    flips = [FlipOn(node, seq, back[node], "new deployment") for node in fleet.nodes]
    return Plan(
        actions=(CreateDeployment(seq, want.release, tuple(reasons)), *stages, *flips),
        seq=seq,
        release=want.release,
        stable=stable.seq if stable else 0,
        new=True,
        nodes=tuple(fleet.nodes),
        back=back,
    )


def _towards(fleet: FleetView, want: Want, record: FleetRecord, stable: FleetRecord | None, *, resumed: bool) -> Plan:
    """Bring nodes to a deployment that exists. An unfinished attempt has at least to be ended.

    Of a finished one, only the nodes that lack it take part: whatever happens to them, the others stay.
    """
    views = {node: view for node, view in fleet.nodes.items() if not want.only or node in want.only}
    places = {node: _place(view, record, resumed=resumed) for node, view in views.items()}
    good = stable if resumed else None
    back = {node: fallback(fleet, view, good, below=record.seq) for node, view in views.items()}
    actions: list[Action] = []
    for node, (_, reason) in _at(places, "waiting"):
        actions.append(StageOn(node, record.seq, base_release(views[node]), reason))
    for node, (_, reason) in _at(places, "waiting", "staged"):
        actions.append(FlipOn(node, record.seq, back[node], reason))
    if not resumed:
        actions.extend(_unsettled(views, record))
    if resumed or actions:
        why = "its rollout was interrupted" if resumed else "not every node runs it"
        actions.insert(0, ResumeDeployment(record.seq, record.deployment.release, (why,)))
    return Plan(
        actions=tuple(actions),
        seq=record.seq,
        release=record.deployment.release,
        stable=record.stable if resumed else record.seq,
        nodes=tuple(node for node in views if resumed or places[node][0] != "flipped"),
        back=back,
        staged=tuple(node for node, _ in _at(places, "staged")),
        flipped=tuple(node for node, _ in _at(places, "flipped") if resumed),
        failed=tuple(node for node, _ in _at(places, "failed")),
        touched=tuple(
            node for node, _ in _at(places, "waiting", "staged") if resumed and views[node].current == record.seq
        ),
    )


_Places = dict[str, tuple[str, str]]


def _at(places: _Places, *wanted: str) -> Iterable[tuple[str, tuple[str, str]]]:
    return [(node, place) for node, place in places.items() if place[0] in wanted]


def _place(view: NodeView, record: FleetRecord, *, resumed: bool) -> tuple[str, str]:
    """Where a node stands on its way to `record`, and why it is not there."""
    kept = view.holds(record.seq)
    if kept is None or not kept.staged:
        reason = "not fully staged" if kept else "does not hold it"
        return ("waiting", reason)
    if resumed and kept.verdict == FAILED:
        return ("failed", "it failed here")
    if view.current == record.seq and not view.interrupted:
        return ("flipped", "")
    runs = f"runs {view.current}" if view.current else "runs nothing"
    return ("staged", f"interrupted in {view.interrupted}" if view.interrupted else runs)


def _unsettled(views: dict[str, NodeView], record: FleetRecord) -> list[Action]:
    settles: list[Action] = []
    for node, view in views.items():
        kept = view.holds(record.seq)
        if view.current == record.seq and kept and kept.verdict != DONE:
            settles.append(SettleOn(node, record.seq, "not recorded as known good"))
    return settles


def _finish_revert(fleet: FleetView, unfinished: FleetRecord, want: Want) -> FinishRevert:
    back = {
        node: fallback(fleet, view, fleet.records.get(unfinished.stable), below=unfinished.seq)
        for node, view in fleet.nodes.items()
        if _touched(view, unfinished)
    }
    if want.abort:
        reason = "given up"
    elif _going_back(fleet, unfinished):
        reason = "its revert was interrupted"
    else:
        reason = "another deployment takes its place"
    return FinishRevert(unfinished.seq, back, reason)


def _going_back(fleet: FleetView, attempt: FleetRecord) -> bool:
    """Whether the attempt's revert was begun: by the deployer, or by a node that failed and was stopped on its way."""
    if attempt.outcome == REVERTING:
        return True
    for view in fleet.nodes.values():
        kept = view.holds(attempt.seq)
        if kept and kept.verdict == FAILED and _touched(view, attempt):
            return True
    return False


def _touched(view: NodeView, attempt: FleetRecord) -> bool:
    """Whether the node runs the attempt, or was stopped in the middle of a step that may have changed what it runs."""
    return view.current == attempt.seq or bool(view.interrupted)


def _after_revert(fleet: FleetView, unfinished: FleetRecord) -> FleetView:
    """The fleet as it will be once the unfinished attempt is back."""
    stable = fleet.records.get(unfinished.stable)
    nodes = {
        node: replace(view, current=fallback(fleet, view, stable, below=unfinished.seq), interrupted="")
        if _touched(view, unfinished)
        else view
        for node, view in fleet.nodes.items()
    }
    records = {**fleet.records, unfinished.seq: replace(unfinished, outcome=FAILED)}
    return replace(fleet, nodes=nodes, records=records)


def fallback(fleet: FleetView, view: NodeView, stable: FleetRecord | None, below: int = 0) -> int:
    """Where a node goes back to: the fleet's stable deployment if it holds it, else its own last good one, else 0.

    Never to one whose rollout failed: a node that was not told of that still thinks well of it.
    """
    held = view.holds(stable.seq) if stable else None
    if held is not None and held.staged:
        return held.seq
    failed = {record.seq for record in fleet.records.values() if record.outcome in (REVERTING, FAILED)}
    good = [kept.seq for kept in view.kept if kept.staged and kept.verdict == DONE and kept.seq not in failed]
    return max((seq for seq in good if not below or seq < below), default=0)


def way_back(fleet: FleetView, view: NodeView, attempt: FleetRecord) -> int:
    """Where a node that could only be read after the plan was made goes back to, if it has to; else what it runs."""
    if not _touched(view, attempt):
        return view.current
    return fallback(fleet, view, fleet.records.get(attempt.stable), below=attempt.seq)


def base_release(view: NodeView) -> str:
    """The release to send differences against: what runs, else the newest that the node holds completely."""
    current = view.holds(view.current)
    if current is not None and current.staged:
        return current.release
    staged = [kept for kept in view.kept if kept.staged]
    return max(staged, key=lambda kept: kept.seq).release if staged else ""


def changes(record: FleetRecord | None, want: Want) -> list[str]:
    """What differs between a deployment and what is wanted, for people. Secrets are named, never shown."""
    if record is None:
        return ["first deployment"]
    found: list[str] = []
    if record.deployment.release != want.release:
        found.append(f"release {record.deployment.release[:12]} → {want.release[:12]}")
    old, new = record.settings.to_json(), want.settings.to_json()
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            found.extend(_table_changes(key, before, after))
        else:
            found.append(f"{key} changed")
    return found or ["deployed again"]


def _table_changes(key: str, before: dict[str, object], after: dict[str, object]) -> list[str]:
    found = []
    for name in sorted(set(before) | set(after)):
        if name not in after:
            found.append(f"{key}.{name} removed")
        elif name not in before:
            found.append(f"{key}.{name} added")
        elif before[name] != after[name]:
            shown = key == "vars"
            found.append(f"{key}.{name} {before[name]!r} → {after[name]!r}" if shown else f"{key}.{name} changed")
    return found


def rollback_target(fleet: FleetView, to: int = 0) -> FleetRecord:
    """The deployment whose content a rollback takes.

    `to` 0: the highest known good one below the origin of stable whose release or vars differ. Raises
    DeploymentUnknown or NothingToRollBackTo.
    """
    if to:
        if to not in fleet.records:
            known = sorted(seq for seq, record in fleet.records.items() if record.outcome == DONE)
            raise DeploymentUnknown(to, known)
        return fleet.records[to]
    stable = fleet.stable
    if stable is None:
        raise NothingToRollBackTo(0)
    origin = stable.deployment.origin or stable.seq
    good = [
        record
        for record in fleet.records.values()
        if record.outcome == DONE and record.seq < origin and _differs(record, stable)
    ]
    if not good:
        raise NothingToRollBackTo(stable.seq)
    return max(good, key=lambda record: record.seq)


def _differs(one: FleetRecord, other: FleetRecord) -> bool:
    if one.deployment.release != other.deployment.release:
        return True
    return (one.settings.vars, one.settings.hosts) != (other.settings.vars, other.settings.hosts)
