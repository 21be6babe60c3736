"""The way of a fleet from one deployment to another, as a pure state machine.

`begin` gives a state and the first actions; `step` takes one event and gives the next state and actions. The engine
carries actions out and feeds back what happened; clock and nodes are nowhere in here. What the machine guarantees:

* no node flips before every node of the rollout that can still be reached has staged (stage, then flip);
* a wave begins only when the one before it is healthy and baked;
* one failure or lost node more than the budget, and nothing flips any more: what flipped goes back, once;
* with a gate, no wave begins and nothing is complete before the gate was asked again and passed;
* a rollout that reverts never goes forward again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Union

# A node's place in the rollout. `failed`: it went back by itself or was brought back alone. `lost`: out of reach
# before it flipped; `adrift`: out of reach since, so that nobody knows what it runs. `stuck`: it could not go back.
WAITING, STAGED, FLIPPING, FLIPPED = "waiting", "staged", "flipping", "flipped"
FAILED, LOST, ADRIFT, BACKING, BACK, STUCK = "failed", "lost", "adrift", "backing", "back", "stuck"

# The rollout's own phase.
STAGING, ROLLING, BAKING, CHECKING, REVERTING, ENDED = (
    "staging",
    "rolling",
    "baking",
    "checking",
    "reverting",
    "ended",
)

# How it ended.
COMPLETE, REVERTED, UNTOUCHED, PARTIAL = "complete", "reverted", "untouched", "partial"


@dataclass(frozen=True)
class Amount:
    """So many nodes, or so many percent of them; one of the two is 0."""

    count: int = 0
    percent: int = 0

    def of(self, total: int) -> int:
        """How many of `total` nodes this is: rounded up, at least one."""
        return max(1, self.count or -(-total * self.percent // 100))


@dataclass(frozen=True)
class Policy:
    """How a rollout goes: the first wave, each later one, seconds of bake after each, and the failure budgets.

    `gate`: somebody outside of the fleet watches, is asked after each wave, and may turn the rollout back any time.
    """

    first: Amount = field(default_factory=lambda: Amount(count=1))
    step: Amount = field(default_factory=lambda: Amount(percent=100))
    bake: float = 0.0
    max_failures: int = 0
    max_unreachable: int = 0
    gate: bool = False


# ── events: what the engine tells ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Staged:
    """The node holds everything and it verified."""

    node: str


@dataclass(frozen=True)
class Flipped:
    """The node runs the target, healthy."""

    node: str


@dataclass(frozen=True)
class Alive:
    """The node is still healthy at the end of the bake."""

    node: str


@dataclass(frozen=True)
class Failed:
    """A step failed on the node. `restored`: it runs what it ran before (always so while staging)."""

    node: str
    restored: bool = True


@dataclass(frozen=True)
class Lost:
    """The node cannot be reached any more."""

    node: str


@dataclass(frozen=True)
class Reverted:
    """The node runs what it is to go back to."""

    node: str


@dataclass(frozen=True)
class RevertFailed:
    """The node could not go back, or not be reached to do so."""

    node: str


@dataclass(frozen=True)
class Tick:
    """Time went on."""


@dataclass(frozen=True)
class Abort:
    """Somebody wants the rollout to go back."""


@dataclass(frozen=True)
class GatePassed:
    """Who watches from outside has nothing against what happened up to now (the answer to AskGate)."""


@dataclass(frozen=True)
class GateFailed:
    """Who watches from outside has seen too much: the rollout goes back. It comes at any moment, asked or not."""


Event = Union[Staged, Flipped, Alive, Failed, Lost, Reverted, RevertFailed, Tick, Abort, GatePassed, GateFailed]


# ── actions: what the engine is to do ──────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Stage:
    """Bring everything to the node."""

    node: str


@dataclass(frozen=True)
class Flip:
    """Activate the target on the node."""

    node: str
    wave: int


@dataclass(frozen=True)
class Bake:
    """Tell time (Tick) at `until`, on the clock that `step` is given."""

    until: float


@dataclass(frozen=True)
class CheckAlive:
    """Check the node's health once more."""

    node: str


@dataclass(frozen=True)
class AskGate:
    """Ask who watches from outside whether the rollout may go on."""


@dataclass(frozen=True)
class BeginRevert:
    """From here on the rollout goes back: record that before any node does."""


@dataclass(frozen=True)
class Revert:
    """Bring the node back to what it ran before."""

    node: str


@dataclass(frozen=True)
class End:
    """It is over; `outcome` is COMPLETE, REVERTED, UNTOUCHED (nothing had changed) or PARTIAL (nodes are stuck)."""

    outcome: str


Action = Union[Stage, Flip, Bake, CheckAlive, AskGate, BeginRevert, Revert, End]
Actions = tuple[Action, ...]


@dataclass(frozen=True)
class State:
    """Where a rollout is. `order` is the order in which nodes flip; `wave` the nodes now flipping or baking.

    `touched` are nodes that were stopped in the middle of their flip when the rollout was interrupted: they flip again
    in their turn, but until then they have to be brought back if the rollout goes back.
    """

    policy: Policy
    order: tuple[str, ...]
    nodes: Mapping[str, str]
    phase: str = STAGING
    wave: tuple[str, ...] = ()
    waves: int = 0
    alive: tuple[str, ...] = ()
    passed: bool = False
    until: float = 0.0
    outcome: str = ""
    changed: bool = False
    aborted: bool = False
    touched: frozenset[str] = frozenset()

    def at(self, *places: str) -> tuple[str, ...]:
        """The nodes that are at one of `places`, in flipping order."""
        return tuple(node for node in self.order if self.nodes[node] in places)

    def halfway(self, node: str) -> bool:
        """Whether the node was found in the middle of its flip and has not flipped again since."""
        return node in self.touched and self.nodes[node] in (WAITING, STAGED)

    def moved(self, node: str, place: str) -> State:
        """The state with `node` at `place`."""
        nodes: dict[str, str] = dict(self.nodes)
        nodes[node] = place
        return replace(self, nodes=nodes)


Result = tuple[State, Actions]


def begin(
    policy: Policy,
    nodes: Iterable[str],
    now: float,
    staged: Iterable[str] = (),
    flipped: Iterable[str] = (),
    failed: Iterable[str] = (),
    lost: Iterable[str] = (),
    adrift: Iterable[str] = (),
    touched: Iterable[str] = (),
) -> Result:
    """A rollout over `nodes`; the other arguments say what an interrupted attempt had already reached.

    `touched` is as in State. Nodes that had flipped already are checked for health again in the first bake like those
    that flip now.
    """
    order = tuple(nodes)
    places = dict.fromkeys(order, WAITING)
    for group, place in (
        (staged, STAGED),
        (flipped, FLIPPED),
        (failed, FAILED),
        (lost, LOST),
        (adrift, ADRIFT),
    ):
        places.update((node, place) for node in group if node in places)
    state = State(policy, order, places, touched=frozenset(touched))
    changed = bool(state.at(FLIPPED, FAILED, ADRIFT)) or any(map(state.halfway, order))
    state = replace(state, changed=changed)
    if _over_budget(state):
        return _turn_back(state)
    staging: Actions = tuple(Stage(node) for node in state.at(WAITING))
    after, actions = _after_staging(state, now)
    return after, (*staging, *actions)


def step(state: State, event: Event, now: float) -> Result:
    """The state after `event` at time `now` (seconds, monotonic), and what is to be done."""
    if state.phase == ENDED:
        return state, ()
    if isinstance(event, (Abort, GateFailed)):
        return _turn_back(replace(state, aborted=True)) if state.phase != REVERTING else (state, ())
    if isinstance(event, Tick):
        return _baked(state, now) if state.phase == BAKING and now >= state.until else (state, ())
    if isinstance(event, GatePassed):
        return _go_on(replace(state, passed=True), now) if state.phase == CHECKING else (state, ())
    if event.node not in state.nodes:
        return state, ()
    moved = _recorded(state, event)
    if moved.phase == REVERTING:
        return _next_revert(moved)
    unhealthy = state.nodes[event.node] != BACKING and moved.nodes[event.node] == BACKING
    alone: Actions = (Revert(event.node),) if unhealthy else ()
    after, actions = _turn_back(moved) if _over_budget(moved) else _go_on(moved, now)
    return after, (*actions, *alone)


def _recorded(state: State, event: Event) -> State:
    """The state with what `event` says of its node, without any consequence drawn."""
    if isinstance(event, Staged) and state.nodes[event.node] == WAITING:
        return state.moved(event.node, STAGED)
    if isinstance(event, Flipped) and state.nodes[event.node] == FLIPPING:
        return state.moved(event.node, FLIPPED)
    if isinstance(event, Alive):
        return replace(state, alive=(*state.alive, event.node))
    if isinstance(event, Failed):
        return _failed(state, event)
    if isinstance(event, Lost):
        return _lost(state, event.node)
    if isinstance(event, Reverted):
        return state.moved(event.node, BACK if state.phase == REVERTING else FAILED)
    if isinstance(event, RevertFailed):
        return state.moved(event.node, STUCK)
    return state


def _failed(state: State, event: Failed) -> State:
    """A failed flip leaves the node where it was, or stuck; one that is unhealthy later has to be brought back.

    So has one that could not be staged again after it was stopped in the middle of its flip.
    """
    place = state.nodes[event.node]
    if place == FLIPPED or state.halfway(event.node):
        return state.moved(event.node, BACKING if state.phase != REVERTING else FLIPPED)
    if place in (WAITING, STAGED, FLIPPING):
        return state.moved(event.node, FAILED if event.restored else STUCK)
    return state


def _lost(state: State, node: str) -> State:
    place = state.nodes[node]
    if place in (FLIPPING, FLIPPED) or state.halfway(node):
        return state.moved(node, ADRIFT)
    if place in (WAITING, STAGED):
        return state.moved(node, LOST)
    return state.moved(node, STUCK) if place == BACKING else state


def _over_budget(state: State) -> bool:
    """Whether more has failed than the policy allows; while staging, when stopping costs nothing, none is allowed."""
    failures = len(state.at(FAILED, BACKING, STUCK))
    allowed = state.policy.max_failures if state.changed else 0
    lost = len(state.at(LOST, ADRIFT)) > state.policy.max_unreachable
    return state.aborted or failures > allowed or lost or not state.at(WAITING, STAGED, FLIPPING, FLIPPED, BACKING)


def _go_on(state: State, now: float) -> Result:
    if state.phase == STAGING:
        return _after_staging(state, now)
    if state.phase == ROLLING:
        return _after_flips(state, now)
    if state.phase == CHECKING:
        return _after_checks(state, now)
    return state, ()


def _after_staging(state: State, now: float) -> Result:
    if state.at(WAITING, BACKING):
        return state, ()
    return _next_wave(replace(state, phase=ROLLING), now)


def _next_wave(state: State, now: float) -> Result:
    """Begin the next wave, or end. Nodes found flipped at the begin count as waves gone by, but are baked again."""
    ready = state.at(STAGED)
    if not ready:
        done = state.at(FLIPPED)
        if state.waves == 0 and (state.policy.bake > 0 or state.policy.gate) and done:
            return _bake(replace(state, wave=done, waves=1), now)
        return replace(state, phase=ENDED, outcome=COMPLETE), (End(COMPLETE),)
    first = not state.at(FLIPPED) and state.waves == 0
    amount = state.policy.first if first else state.policy.step
    wave = ready[: amount.of(len(state.order))]
    number = state.waves + 1
    state = replace(state, phase=ROLLING, wave=wave, waves=number, changed=True)
    for node in wave:
        state = state.moved(node, FLIPPING)
    return state, tuple(Flip(node, number) for node in wave)


def _after_flips(state: State, now: float) -> Result:
    if state.at(FLIPPING, BACKING):
        return state, ()
    return _bake(state, now)


def _bake(state: State, now: float) -> Result:
    if state.policy.bake <= 0:
        return _baked(state, now) if state.policy.gate else _next_wave(state, now)
    until = now + state.policy.bake
    return replace(state, phase=BAKING, until=until), (Bake(until),)


def _baked(state: State, now: float) -> Result:
    """The bake is over: every node that flipped so far must still be healthy, and the gate pass."""
    state = replace(state, phase=CHECKING, alive=(), passed=not state.policy.gate)
    gate: Actions = (AskGate(),) if state.policy.gate else ()
    checks: Actions = (*(CheckAlive(node) for node in state.at(FLIPPED)), *gate)
    return (state, checks) if checks else _after_checks(state, now)


def _after_checks(state: State, now: float) -> Result:
    if set(state.at(FLIPPED)) - set(state.alive) or state.at(BACKING) or not state.passed:
        return state, ()
    return _next_wave(state, now)


def _turn_back(state: State) -> Result:
    """Nothing flips from here on. A node in the middle of its flip is awaited, then brought back."""
    if not state.changed:
        return replace(state, phase=ENDED, outcome=UNTOUCHED), (End(UNTOUCHED),)
    after, actions = _next_revert(replace(state, phase=REVERTING))
    return after, (BeginRevert(), *actions)


def _next_revert(state: State) -> Result:
    """Bring back every node that flipped, or may have: one that is adrift is tried once more."""
    backing = [node for node in state.order if state.nodes[node] in (FLIPPED, ADRIFT) or state.halfway(node)]
    for node in backing:
        state = state.moved(node, BACKING)
    actions: Actions = tuple(Revert(node) for node in backing)
    if state.at(FLIPPING, BACKING):
        return state, actions
    outcome = PARTIAL if state.at(STUCK) else REVERTED
    return replace(state, phase=ENDED, outcome=outcome), (*actions, End(outcome))
