"""Random deploys with deployers that die, engines that are killed and nodes that are away: the promises hold.

The deployer (engine, styles, core) and the node engines are the real ones; see world.py for what is a model.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mikoshi.core.deployment import DONE, FAILED
from mikoshi.core.errors import DeployFailed, MikoshiError
from mikoshi.core.rollout import Amount, Policy
from mikoshi.engine.deploy import Result
from tests.simulation.world import Faults, Session, World

NODES = ("a", "b", "c")
COMMANDS = ("deploy 1", "deploy 2", "deploy 3", "rollback")

POLICIES = st.builds(
    Policy,
    first=st.just(Amount(count=1)),
    step=st.sampled_from([Amount(count=1), Amount(percent=100)]),
    max_failures=st.integers(0, 1),
    max_unreachable=st.integers(0, 1),
)
MOMENT = st.none() | st.tuples(st.integers(1, 40), st.booleans())
FAULTS = st.builds(
    Faults,
    sick=st.frozensets(st.sampled_from(NODES), max_size=2),
    down=st.dictionaries(st.sampled_from(NODES), st.integers(1, 3), max_size=1),
    deployer_dies=MOMENT,
    connection_breaks=MOMENT,
    engine_dies=st.just(0) | st.integers(1, 250),
)
STORIES = st.lists(st.tuples(st.sampled_from(COMMANDS), FAULTS), min_size=1, max_size=5)


def run(world: World, command: str, faults: Faults) -> Result | BaseException:
    """One command; whatever became of it, the promises that hold at any moment were kept."""
    verb, _, number = command.partition(" ")
    ran_good = {node for node in NODES if world.current(node) in good(world)}
    outcome = world.deploy(int(number), faults) if verb == "deploy" else world.rollback(faults)
    currents = {node: world.current(node) for node in NODES}
    outcomes = {seq: record["outcome"] for seq, record in world.records().items()}
    told = f"{command} with {faults} ended with {outcome!r} {outcome}\nnodes {currents}, records {outcomes}"
    assert isinstance(outcome, (Result, MikoshiError, asyncio.CancelledError)), told
    assert not world.violations, f"{told}\n{world.violations}"
    assert all(currents[node] for node in ran_good), f"a good deployment was taken away\n{told}"
    if isinstance(outcome, DeployFailed) and outcome.exit in (5, 6):
        left = [node for node in NODES if node not in faults.down and outcomes.get(currents[node]) == FAILED]
        assert not left, f"{left} still run what failed\n{told}"
    return outcome


def good(world: World) -> list[int]:
    return [seq for seq, record in world.records().items() if record["outcome"] == DONE]


LENIENT = Policy(max_failures=1)
NOT_TOLD = [("deploy 2", Faults(frozenset("ac"), deployer_dies=(19, False))), ("deploy 1", Faults(frozenset("ab")))]
HALFWAY = [
    ("deploy 3", Faults(frozenset("ab"), deployer_dies=(16, True), engine_dies=171)),
    ("deploy 3", Faults(frozenset("c"))),
]
BACK_AGAIN = [
    ("deploy 1", Faults(engine_dies=137)),
    ("deploy 1", Faults(frozenset("a"), down={"b": 1}, connection_breaks=(25, False))),
]


@example(LENIENT, NOT_TOLD)  # a node that was not told of a failure must not go back to it
@example(LENIENT, HALFWAY)  # a node that was stopped in its flip goes back with the others
@example(Policy(max_failures=1, max_unreachable=1), BACK_AGAIN)  # one that comes back meanwhile keeps what it runs
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(POLICIES, STORIES)
def test_whatever_dies_the_next_healthy_deploy_ends_it(policy: Policy, story: list[tuple[str, Faults]]) -> None:
    with tempfile.TemporaryDirectory() as root, pytest.MonkeyPatch.context() as patch:
        world = World(Path(root), NODES, policy)
        patch.setattr("mikoshi.engine.fleet.NodeSession", Session)
        for module in ("flip", "server"):
            patch.setattr(f"mikoshi.node.{module}.check_health", world.check_health)
        for command, faults in story:
            run(world, command, faults)
        outcome = run(world, "deploy 9", Faults())
        assert isinstance(outcome, Result), outcome
        assert outcome.outcome == "done"
        assert {world.current(node) for node in NODES} == {outcome.seq}
        assert good(world)[-1] == outcome.seq
        assert all(record["outcome"] in (DONE, FAILED) for record in world.records().values())
