"""The rollout machine, by example and over random histories."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mikoshi.core import rollout as r

TWO_WAVES = r.Policy(first=r.Amount(count=1), step=r.Amount(percent=100))
BAKED = r.Policy(first=r.Amount(count=1), step=r.Amount(count=1), bake=30.0)


def run(result: r.Result, *events: r.Event, now: float = 0.0) -> r.Result:
    """Feed events; the actions are all those since `result`, its own included."""
    state, actions = result
    for event in events:
        state, more = r.step(state, event, now)
        actions = (*actions, *more)
    return state, actions


def test_everything_is_staged_before_the_first_flip_and_waves_follow_one_another() -> None:
    state, actions = r.begin(TWO_WAVES, "abc", 0.0)
    assert actions == (r.Stage("a"), r.Stage("b"), r.Stage("c"))
    state, actions = run((state, ()), r.Staged("b"), r.Staged("a"))
    assert actions == ()
    state, actions = run((state, ()), r.Staged("c"))
    assert actions == (r.Flip("a", 1),)
    state, actions = run((state, ()), r.Flipped("a"))
    assert actions == (r.Flip("b", 2), r.Flip("c", 2))
    state, actions = run((state, ()), r.Flipped("c"), r.Flipped("b"))
    assert actions == (r.End(r.COMPLETE),)


def test_a_failure_while_staging_leaves_everything_untouched() -> None:
    state, actions = run(r.begin(TWO_WAVES, "ab", 0.0), r.Staged("a"), r.Failed("b"))
    assert actions[-1] == r.End(r.UNTOUCHED)
    assert state.outcome == r.UNTOUCHED
    assert not any(isinstance(action, r.Flip) for action in actions)


def test_a_failed_flip_brings_the_flipped_nodes_back_and_is_recorded_first() -> None:
    state, actions = run(r.begin(TWO_WAVES, "abc", 0.0, staged="abc"), r.Flipped("a"), r.Failed("c"), r.Flipped("b"))
    assert actions[-3:] == (r.BeginRevert(), r.Revert("a"), r.Revert("b"))
    state, actions = run((state, ()), r.Reverted("b"), r.Reverted("a"))
    assert actions == (r.End(r.REVERTED),)


def test_a_node_that_cannot_go_back_makes_the_outcome_partial() -> None:
    state, actions = run(r.begin(TWO_WAVES, "ab", 0.0, staged="ab"), r.Flipped("a"), r.Failed("b"), r.RevertFailed("a"))
    assert actions[-1] == r.End(r.PARTIAL)
    assert state.at(r.STUCK) == ("a",)


def test_the_bake_holds_the_next_wave_back_until_its_time_and_checks_health() -> None:
    state, actions = run(r.begin(BAKED, "ab", 0.0, staged="ab"), r.Flipped("a"), now=10.0)
    assert actions[-1] == r.Bake(40.0)
    state, actions = run((state, ()), r.Tick(), now=39.9)
    assert actions == ()
    state, actions = run((state, ()), r.Tick(), now=40.0)
    assert actions == (r.CheckAlive("a"),)
    state, actions = run((state, ()), r.Alive("a"), now=40.0)
    assert actions == (r.Flip("b", 2),)


def test_an_unhealthy_node_at_the_end_of_the_bake_reverts_everything() -> None:
    state, actions = run(r.begin(BAKED, "ab", 0.0, staged="ab"), r.Flipped("a"))
    state, actions = run((state, ()), r.Tick(), r.Failed("a"), now=30.0)
    assert actions == (r.CheckAlive("a"), r.BeginRevert(), r.Revert("a"))
    state, actions = run((state, ()), r.Reverted("a"))
    assert actions == (r.End(r.REVERTED),)


def test_within_the_failure_budget_an_unhealthy_node_alone_goes_back() -> None:
    policy = r.Policy(first=r.Amount(count=2), step=r.Amount(count=2), bake=1.0, max_failures=1)
    state, _ = run(r.begin(policy, "abc", 0.0, staged="abc"), r.Flipped("a"), r.Flipped("b"))
    state, actions = run((state, ()), r.Tick(), r.Failed("b"), r.Alive("a"), now=1.0)
    assert r.Revert("b") in actions
    assert not any(isinstance(action, r.Flip) for action in actions)
    state, actions = run((state, ()), r.Reverted("b"), now=1.0)
    assert actions == (r.Flip("c", 2),)
    assert state.nodes["b"] == r.FAILED


def test_lost_nodes_within_the_budget_are_left_out() -> None:
    policy = r.Policy(first=r.Amount(percent=100), max_unreachable=1)
    state, actions = run(r.begin(policy, "abc", 0.0, lost="c"), r.Staged("a"), r.Staged("b"))
    state, actions = run((state, ()), r.Flipped("a"), r.Flipped("b"))
    assert actions == (r.End(r.COMPLETE),)
    assert state.at(r.LOST) == ("c",)


def test_a_node_lost_in_the_middle_of_its_flip_is_tried_once_more_to_bring_it_back() -> None:
    _, actions = run(r.begin(TWO_WAVES, "ab", 0.0, staged="ab"), r.Lost("a"))
    assert actions[-2:] == (r.BeginRevert(), r.Revert("a"))


def test_an_interrupted_attempt_goes_on_where_it_was() -> None:
    state, actions = r.begin(TWO_WAVES, "abc", 0.0, staged="b", flipped="a")
    assert actions == (r.Stage("c"),)
    state, actions = run((state, ()), r.Staged("c"))
    assert actions == (r.Flip("b", 1), r.Flip("c", 1))


def test_an_attempt_that_had_failed_on_a_node_is_not_tried_again_but_reverted() -> None:
    _, actions = r.begin(TWO_WAVES, "abc", 0.0, staged="c", flipped="a", failed="b")
    assert actions == (r.BeginRevert(), r.Revert("a"))


def test_an_abort_at_any_moment_reverts() -> None:
    state, actions = run(r.begin(BAKED, "ab", 0.0, staged="ab"), r.Flipped("a"), r.Abort())
    assert actions[-2:] == (r.BeginRevert(), r.Revert("a"))
    assert run((state, ()), r.Abort())[1] == ()


GATED = r.Policy(first=r.Amount(count=1), step=r.Amount(count=1), bake=30.0, gate=True)


def test_a_gate_holds_the_next_wave_and_the_end_until_it_passes() -> None:
    state, actions = run(r.begin(GATED, "ab", 0.0, staged="ab"), r.Flipped("a"))
    state, actions = run((state, ()), r.Tick(), r.Alive("a"), now=30.0)
    assert actions == (r.CheckAlive("a"), r.AskGate())
    state, actions = run((state, ()), r.GatePassed(), now=30.0)
    assert actions == (r.Flip("b", 2),)
    state, actions = run((state, ()), r.Flipped("b"), r.GatePassed(), now=40.0)
    assert actions == (r.Bake(70.0),), "what was answered before counts for nothing"
    state, actions = run((state, ()), r.Tick(), r.GatePassed(), r.Alive("a"), now=70.0)
    assert actions[-1] == r.AskGate()
    state, actions = run((state, ()), r.Alive("b"), now=70.0)
    assert actions == (r.End(r.COMPLETE),)


def test_a_gate_without_a_bake_is_asked_as_well() -> None:
    policy = r.Policy(gate=True)
    state, actions = run(r.begin(policy, "a", 0.0, staged="a"), r.Flipped("a"), r.Alive("a"))
    assert actions == (r.Flip("a", 1), r.CheckAlive("a"), r.AskGate())
    assert run((state, ()), r.GatePassed())[1] == (r.End(r.COMPLETE),)
    _, actions = r.begin(policy, "a", 0.0, flipped="a")
    assert r.AskGate() in actions, "a resumed attempt ended without it"


def test_a_gate_that_fails_at_any_moment_reverts_once() -> None:
    flipping = run(r.begin(GATED, "ab", 0.0, staged="ab"), r.GateFailed())
    assert flipping[1] == (r.Flip("a", 1), r.BeginRevert())
    state, actions = run((flipping[0], ()), r.Flipped("a"), r.GatePassed(), r.GateFailed())
    assert actions == (r.Revert("a"),)
    assert run((state, ()), r.Reverted("a"))[1] == (r.End(r.REVERTED),)
    baking = run(r.begin(GATED, "ab", 0.0, staged="ab"), r.Flipped("a"), r.GateFailed())
    assert baking[1][-2:] == (r.BeginRevert(), r.Revert("a"))


def test_a_gate_that_fails_before_anything_changed_leaves_everything_untouched() -> None:
    _, actions = run(r.begin(GATED, "ab", 0.0), r.Staged("a"), r.GateFailed())
    assert actions[-1] == r.End(r.UNTOUCHED)


def test_percentages_round_up_and_never_to_nothing() -> None:
    assert r.Amount(percent=50).of(3) == 2
    assert r.Amount(percent=1).of(3) == 1
    assert r.Amount(count=9).of(3) == 9


NODES = ("a", "b", "c", "d", "e")
AMOUNTS = st.one_of(st.builds(r.Amount, count=st.integers(1, 6)), st.builds(r.Amount, percent=st.integers(1, 100)))
POLICIES = st.builds(
    r.Policy,
    first=AMOUNTS,
    step=AMOUNTS,
    bake=st.sampled_from([0.0, 5.0]),
    max_failures=st.integers(0, 3),
    max_unreachable=st.integers(0, 3),
    gate=st.booleans(),
)
FOUND = ("waiting", "staged", "flipped", "lost", "adrift", "failed", "waiting halfway", "staged halfway")
PLACES = st.lists(st.sampled_from(FOUND), min_size=5, max_size=5)


class World:
    """Carries actions out as a hostile fleet would and checks each against what must hold."""

    def __init__(self, policy: r.Policy, places: list[str]) -> None:
        self.policy, self.now = policy, 0.0
        halfway = [node for node, own in zip(NODES, places, strict=True) if own.endswith("halfway")]
        plain = [own.removesuffix(" halfway") for own in places]
        found = {place: [node for node, own in zip(NODES, plain, strict=True) if own == place] for place in plain}
        self.staged = set(found.get("staged", [])) | set(found.get("flipped", []))
        self.on_target = set(found.get("flipped", [])) | set(found.get("adrift", [])) | set(halfway)
        self.unreachable = set(found.get("lost", [])) | set(found.get("adrift", []))
        self.flips_begun: set[str] = set()
        self.open: list[r.Action] = []
        self.reverting = self.gate_failed = False
        # Whether the gate has passed since a node was switched last; what was found switched needs it as well.
        self.passed = not policy.gate
        self.end: list[str] = []
        groups = {name: found.get(name, []) for name in ("staged", "flipped", "failed", "lost", "adrift")}
        self.state, actions = r.begin(policy, NODES, 0.0, **groups, touched=halfway)
        self.take(actions)

    def take(self, actions: r.Actions) -> None:
        flips = [action for action in actions if isinstance(action, r.Flip)]
        if flips:
            assert not self.reverting, "forward after a revert began"
            assert self.passed or not self.flips_begun, "a wave without the gate"
            self.passed = not self.policy.gate
            bound = self.policy.first if not self.flips_begun else self.policy.step
            assert len(flips) <= max(bound.of(len(NODES)), self.policy.step.of(len(NODES)))
            reachable = {node for node in NODES if self.state.nodes[node] not in (r.LOST, r.ADRIFT)}
            assert reachable <= self.staged | set(self.state.at(r.FAILED, r.BACKING, r.STUCK)), "flip before all staged"
        for action in actions:
            assert not self.end, "an action after the end"
            if isinstance(action, r.Flip):
                assert action.node not in self.flips_begun, "flipped twice"
                self.flips_begun.add(action.node)
                self.on_target.add(action.node)
            self.reverting |= isinstance(action, r.BeginRevert)
            if isinstance(action, r.End):
                assert self.passed or action.outcome != r.COMPLETE, "complete without the gate"
                assert not self.gate_failed or action.outcome != r.COMPLETE, "complete although the gate failed"
                self.end.append(action.outcome)
            elif not isinstance(action, r.BeginRevert):
                self.open.append(action)

    def answer(self, action: r.Action, luck: int) -> r.Event:
        if isinstance(action, r.Bake):
            self.now = max(self.now, action.until)
            return r.Tick()
        if isinstance(action, r.AskGate):
            # A passed gate of an earlier wave must not count for this one: flips since have cleared it.
            self.passed |= luck != 1
            self.gate_failed |= luck == 1
            return r.GateFailed() if luck == 1 else r.GatePassed()
        assert not isinstance(action, (r.BeginRevert, r.End))
        if luck == 0:
            self.unreachable.add(action.node)
            return r.RevertFailed(action.node) if isinstance(action, r.Revert) else r.Lost(action.node)
        if isinstance(action, r.Stage):
            return self._staged(action.node, luck)
        if isinstance(action, r.Flip):
            return self._flipped(action.node, luck)
        if isinstance(action, r.CheckAlive):
            return r.Failed(action.node) if luck == 1 else r.Alive(action.node)
        if luck == 1:
            return r.RevertFailed(action.node)
        self.on_target.discard(action.node)
        return r.Reverted(action.node)

    def _staged(self, node: str, luck: int) -> r.Event:
        if luck == 1:
            return r.Failed(node)
        self.staged.add(node)
        return r.Staged(node)

    def _flipped(self, node: str, luck: int) -> r.Event:
        if luck == 1:
            self.on_target.discard(node)
            return r.Failed(node, restored=True)
        return r.Failed(node, restored=False) if luck == 2 else r.Flipped(node)

    def go(self, data: st.DataObject) -> None:
        for _ in range(200):
            if self.end or not self.open:
                return
            if data.draw(st.integers(0, 30)) == 7:
                gate = self.policy.gate and data.draw(st.booleans())
                self.gate_failed |= gate
                self.feed(r.GateFailed() if gate else r.Abort())
                continue
            action = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
            self.feed(self.answer(action, data.draw(st.integers(0, 12))))

    def feed(self, event: r.Event) -> None:
        self.state, actions = r.step(self.state, event, self.now)
        self.take(actions)


@given(POLICIES, PLACES, st.data())
def test_whatever_happens_the_rollout_ends_once_and_says_truly_how(
    policy: r.Policy, places: list[str], data: st.DataObject
) -> None:
    world = World(policy, places)
    world.go(data)
    assert len(world.end) == 1, "it hangs"
    outcome, nodes = world.end[0], world.state.nodes
    stuck = {node for node, place in nodes.items() if place == r.STUCK}
    if outcome == r.UNTOUCHED:
        assert not world.flips_begun
        assert not world.on_target
    if outcome == r.REVERTED:
        assert not world.on_target
    if outcome == r.PARTIAL:
        assert stuck
        assert world.on_target <= stuck
    if outcome == r.COMPLETE:
        assert len([n for n in nodes if nodes[n] in (r.FAILED, r.STUCK)]) <= policy.max_failures
        assert len([n for n in nodes if nodes[n] in (r.LOST, r.ADRIFT)]) <= policy.max_unreachable
        assert any(place == r.FLIPPED for place in nodes.values())
