"""A plan: what would be done to bring the fleet where it shall be, as data, with reasons. `plan` prints it.

An empty plan means that release and settings are what runs, on every node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Union


@dataclass(frozen=True)
class FinishRevert:
    """Bring nodes of an unfinished attempt back before anything else: node → the seq it goes back to (0: nothing)."""

    seq: int
    nodes: Mapping[str, int]
    reason: str


@dataclass(frozen=True)
class CreateDeployment:
    """Give a new deployment its number. The number is final only under the lease."""

    seq: int
    release: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ResumeDeployment:
    """Go on with a deployment that exists: an unfinished attempt, or the one that some nodes lack."""

    seq: int
    release: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class StageOn:
    """Bring what is missing to a node. `base` is a release that the node holds, to send differences against."""

    node: str
    seq: int
    base: str
    reason: str


@dataclass(frozen=True)
class FlipOn:
    """Activate on a node; on failure it goes back to `previous` (0: nothing)."""

    node: str
    seq: int
    previous: int
    reason: str


@dataclass(frozen=True)
class SettleOn:
    """Record on a node that the deployment it runs is known good."""

    node: str
    seq: int
    reason: str


Action = Union[FinishRevert, CreateDeployment, ResumeDeployment, StageOn, FlipOn, SettleOn]
ACTIONS = (FinishRevert, CreateDeployment, ResumeDeployment, StageOn, FlipOn, SettleOn)


@dataclass(frozen=True)
class Plan:
    """The actions in order, and what they are about.

    `seq` is the deployment that the nodes shall run, `stable` the one to go back to, `back` node → where exactly.
    `nodes` take part; `staged`, `flipped` and `failed` among them were so far already when the plan was made,
    and `touched` were stopped in the middle of their flip.
    `stop` "reverted": after the unfinished attempt is back, do not go on (it was this very deployment that failed).
    """

    actions: tuple[Action, ...] = ()
    seq: int = 0
    release: str = ""
    stable: int = 0
    new: bool = False
    nodes: tuple[str, ...] = ()
    back: Mapping[str, int] = field(default_factory=dict)
    staged: tuple[str, ...] = ()
    flipped: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()
    stop: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.actions


def to_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON-able data."""
    actions = [{"action": type(action).__name__, **asdict(action)} for action in plan.actions]
    return {
        "seq": plan.seq,
        "release": plan.release,
        "stable": plan.stable,
        "new": plan.new,
        "actions": actions,
    }
