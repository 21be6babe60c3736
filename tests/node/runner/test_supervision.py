"""What the runner decides, without a process: random histories keep to the rules."""

from __future__ import annotations

import signal

from hypothesis import given
from hypothesis import strategies as st

from mikoshi.node.runner.plans import START_FIRST, STOP_FIRST, ProcessPlan, command_line, process_plan
from mikoshi.node.runner.supervision import BACKOFF, STEADY, Instance, Start, Supervision, Tell


class World:
    """Carries out what is decided: every start makes a process at once, every signal ends one if it listens to it."""

    def __init__(self, deaf: bool = False) -> None:
        self.state, self.now, self.last, self.deaf = Supervision(), 100.0, 0, deaf
        self.told: list[Tell] = []

    def settle(self) -> None:
        """Do what is to be done until nothing is."""
        while actions := self.state.decide(self.now):
            for action in actions:
                if isinstance(action, Start):
                    self.start(action)
                else:
                    self.told.append(action)
                    if not self.deaf or action.number == signal.SIGKILL:
                        self.state.ended(action.id, 0, self.now)

    def start(self, action: Start) -> None:
        """Make a process."""
        generation = self.state.generations[self.state.wanted]
        self.last += 1
        self.state.started(
            Instance(
                self.last, 1000 + self.last, generation.number, generation.seq, action.process, action.number,
                self.now, generation.plans[action.process],
            )
        )  # fmt: skip

    def living(self, process: str = "web") -> list[int]:
        """Deployments of the processes that run."""
        return sorted(one.seq for one in self.state.instances.values() if one.process == process)


def plans(replace: str = START_FIRST, instances: int = 2) -> dict[str, ProcessPlan]:
    return {"web": ProcessPlan("web", "x", instances=instances, replace=replace, stop_within=5.0)}


def test_the_old_generation_goes_on_until_it_is_drained() -> None:
    world = World()
    world.state.want(1, "1", plans())
    world.settle()
    world.state.attended = True
    world.state.want(2, "2", plans())
    world.settle()
    assert world.living() == [1, 1, 2, 2]
    world.state.drained = True
    world.settle()
    assert world.living() == [2, 2]


def test_going_back_starts_nothing_while_the_old_generation_stands() -> None:
    world = World()
    world.state.want(1, "1", plans())
    world.settle()
    world.state.attended = True
    world.state.want(2, "2", plans())
    world.settle()
    begun = world.last
    world.state.want(1, "1", plans())
    world.state.drained = True
    world.settle()
    assert (world.living(), world.last) == ([1, 1], begun)


def test_what_another_holder_left_ends_when_nothing_is_wanted_and_stays_while_nobody_knows() -> None:
    world = World()
    foreign = Instance(7, 1007, 0, 1, "web", 1, world.now, plans()["web"], foreign=True)
    world.state.started(foreign)
    world.settle()
    assert world.living() == [1]
    world.state.want(0, "", {})
    world.settle()
    assert world.living() == []


def test_stop_first_never_has_two_deployments() -> None:
    world = World(deaf=True)
    world.state.want(1, "1", plans(STOP_FIRST))
    world.settle()
    world.state.want(2, "2", plans(STOP_FIRST))
    world.settle()
    assert world.living() == [1, 1]
    world.now += 5.0
    world.settle()
    assert world.living() == [2, 2]


def test_the_same_request_makes_no_second_generation_and_a_fresh_one_does() -> None:
    world = World()
    first = world.state.want(1, "a", plans())
    assert world.state.want(1, "a", plans()) == first
    assert world.state.want(1, "b", plans()) == first
    assert world.state.want(1, "b", plans(), fresh=True) != first
    second = world.state.wanted
    assert world.state.want(1, "b", plans(), fresh=True) == second


def test_one_that_ends_is_started_again_later_and_later() -> None:
    world = World()
    world.state.want(1, "1", plans(instances=1))
    pauses = []
    for _ in range(len(BACKOFF) + 1):
        world.settle()
        (number,) = world.state.instances
        world.state.ended(number, 1, world.now)
        world.settle()
        assert world.living() == []
        deadline = world.state.deadline(world.now)
        assert deadline is not None
        pauses.append(round(deadline - world.now, 3))
        world.now = deadline
    assert pauses == [*BACKOFF, BACKOFF[-1]]
    world.settle()
    world.now += STEADY
    (number,) = world.state.instances
    world.state.ended(number, 1, world.now)
    assert world.state.deadline(world.now) == world.now + BACKOFF[0]


def test_an_unattended_change_completes_itself_only_once_it_stands() -> None:
    world = World()
    world.state.want(1, "1", plans())
    world.settle()
    world.state.want(2, "2", plans())
    world.settle()
    world.now += STEADY / 2
    (victim,) = [one.id for one in world.state.instances.values() if one.seq == 2 and one.number == 1]
    world.state.ended(victim, 1, world.now)
    world.settle()
    world.now += STEADY * 0.6
    world.settle()
    assert 1 in world.living()
    world.now += STEADY
    world.settle()
    assert world.living() == [2, 2]


def test_a_deaf_one_is_killed_once() -> None:
    world = World(deaf=True)
    world.state.want(1, "1", plans(instances=1))
    world.settle()
    world.state.want(0, "", {})
    world.settle()
    world.now += 4.9
    world.settle()
    assert [tell.number for tell in world.told] == [signal.SIGTERM]
    world.now += 0.1
    world.settle()
    assert [tell.number for tell in world.told] == [signal.SIGTERM, signal.SIGKILL]


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.integers(0, 4)),
        st.tuples(st.just("drain"), st.just(0)),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("pass"), st.integers(1, 40)),
        st.tuples(st.just("attend"), st.integers(0, 1)),
    ),
    max_size=40,
)


@given(MOVES, st.booleans(), st.sampled_from([START_FIRST, STOP_FIRST]))
def test_whatever_happens_one_deployment_serves_in_the_end(
    moves: list[tuple[str, int]], deaf: bool, replace: str
) -> None:
    world = World(deaf)
    for move, value in moves:
        if move == "want":
            world.state.want(value, str(value), plans(replace))
        elif move == "drain":
            world.state.drained = True
        elif move == "end" and world.state.instances:
            numbers = sorted(world.state.instances)
            world.state.ended(numbers[value % len(numbers)], 1, world.now)
        elif move == "pass":
            world.now += value
        elif move == "attend":
            world.state.attended = bool(value)
        world.settle()
        if replace == STOP_FIRST:
            assert len(set(world.living())) <= 1
        assert sum(one.stopping is None and one.generation == world.state.wanted
                   for one in world.state.instances.values()) <= 2  # fmt: skip
    wanted = world.state.generations.get(world.state.wanted)
    world.state.attended = False
    for _ in range(200):
        deadline = world.state.deadline(world.now)
        if deadline is None:
            break
        world.now = max(world.now, deadline)
        world.settle()
    else:
        raise AssertionError("it never comes to rest")
    assert world.living() == ([wanted.seq] * 2 if wanted else [])


def test_the_shell_gives_way_to_simple_commands() -> None:
    assert command_line("gunicorn --bind fd://{fd} -p {port} app", 80, 3)[-1] == "exec gunicorn --bind fd://3 -p 80 app"
    assert command_line("A=1 serve", 80, 3)[-1] == "exec env A=1 serve"
    assert command_line("cd x && serve", 80, 3)[-1] == "cd x && serve"
    assert command_line("exec serve", 80, 3)[-1] == "exec serve"


def test_settings_of_an_earlier_version_get_defaults() -> None:
    plan = process_plan("web", {"command": "x", "listen": "127.0.0.1:80"})
    assert (plan.instances, plan.replace, plan.stop_signal, plan.stop_within) == (1, START_FIRST, signal.SIGTERM, 30.0)
    assert process_plan("jobs", {"command": "x"}).replace == STOP_FIRST
