"""What the runner decides: which processes are to be started, told to stop, or killed. No effects, no clock.

A generation is one set of processes of one deployment. One generation at most is wanted; the others go on until they
are drained. `decide` may be called at any moment and says what is to be done now; `deadline` when to ask again.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Union

from mikoshi.node.runner.plans import STOP_FIRST, ProcessPlan

BACKOFF = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before a process that ended is started again
STEADY = 10.0  # seconds after which a start counts as a good one


@dataclass(frozen=True)
class Generation:
    """Processes of a deployment. `key` names the request that made it: the same request makes no second one."""

    number: int
    seq: int
    key: str
    plans: Mapping[str, ProcessPlan]


@dataclass
class Instance:
    """A process that runs. Times in seconds of one monotonic clock; `stopping` since when (None: it is not)."""

    id: int
    pid: int
    generation: int
    seq: int
    process: str
    number: int
    began: float
    plan: ProcessPlan
    trial: bool = False
    foreign: bool = False
    stopping: float | None = None
    killed: bool = False

    @property
    def name(self) -> str:
        """What people call it: "web.1"."""
        return f"{self.process}.{self.number}"


@dataclass
class Place:
    """A place in the wanted generation that an instance fills. `ends`: how often one ended by itself there."""

    ends: int = 0
    row: int = 0
    not_before: float = 0.0
    last_status: int | None = None
    last_reason: str = ""


@dataclass(frozen=True)
class Start:
    """Start a process in a place of the wanted generation."""

    process: str
    number: int


@dataclass(frozen=True)
class Tell:
    """Send a signal to an instance's process group."""

    id: int
    number: int


Action = Union[Start, Tell]


@dataclass
class Supervision:
    """All that is known. `drained`: the other generations may be told to stop. `wanted` 0: nobody knows what is wanted;
    with `empty`, that nothing is."""

    generations: dict[int, Generation] = field(default_factory=dict)
    wanted: int = 0
    empty: bool = False
    drained: bool = True
    attended: bool = False
    instances: dict[int, Instance] = field(default_factory=dict)
    places: dict[tuple[str, int], Place] = field(default_factory=dict)

    # ── what is asked for ──────────────────────────────────────────────────────────────────────────────────────

    def want(self, seq: int, key: str, plans: Mapping[str, ProcessPlan], fresh: bool = False) -> int:
        """Want a generation of this deployment (0: nothing); its number. The one that is there, if it fits."""
        current = self.generations.get(self.wanted)
        if current and current.seq == seq and (current.key == key or not fresh):
            return self.wanted
        number = 0
        if seq:
            standing = None if fresh else self._standing(seq)
            number = standing or max([0, *self.generations]) + 1
            if not standing:
                self.generations[number] = Generation(number, seq, key, plans)
        self._become(number)
        return number

    def go_back(self, number: int) -> None:
        """Want an earlier generation again; one that is gone changes nothing."""
        if number in self.generations:
            self._become(number)

    def recover(self, number: int, seq: int, key: str, plans: Mapping[str, ProcessPlan], drained: bool) -> None:
        """Want what an earlier runner wanted. Its instances are known already."""
        self.generations[number] = Generation(number, seq, key, plans)
        self._become(number)
        self.drained = drained

    def _standing(self, seq: int) -> int:
        """An earlier generation of this deployment that is complete: going back to it starts nothing anew."""
        for generation in self.generations.values():
            if generation.seq == seq and all(self._in(generation.number, *place) for place in _places(generation)):
                return generation.number
        return 0

    def _become(self, number: int) -> None:
        self.wanted, self.drained, self.empty = number, number == 0, number == 0
        self.places = {place: Place() for place in _places(self.generations.get(number))}

    def _in(self, generation: int, process: str, number: int) -> Instance | None:
        for one in self.instances.values():
            if (one.generation, one.process, one.number) == (generation, process, number) and one.stopping is None:
                return one
        return None

    def stop(self, instance: Instance, now: float) -> Tell:
        """Tell an instance to stop; it is killed when its time is over."""
        instance.stopping = now
        return Tell(instance.id, instance.plan.stop_signal)

    # ── what happens ───────────────────────────────────────────────────────────────────────────────────────────

    def started(self, instance: Instance) -> None:
        """A process was started."""
        self.instances[instance.id] = instance

    def not_started(self, process: str, number: int, reason: str, now: float) -> None:
        """A process could not be started; it is tried again later."""
        self._count_end(process, number, 0.0, None, reason, now)

    def ended(self, number: int, status: int, now: float) -> Instance | None:
        """A process ended; what was known of it, None if nothing was."""
        instance = self.instances.pop(number, None)
        by_itself = instance is not None and instance.stopping is None and not instance.trial
        if instance is not None and by_itself and instance.generation == self.wanted:
            self._count_end(instance.process, instance.number, now - instance.began, status, "", now)
        return instance

    def _count_end(self, process: str, number: int, lived: float, status: int | None, reason: str, now: float) -> None:
        place = self.places.get((process, number))
        if place is None:
            return
        place.row = 1 if lived >= STEADY else place.row + 1
        place.ends += 1
        place.not_before = now + BACKOFF[min(place.row, len(BACKOFF)) - 1]
        place.last_status, place.last_reason = status, reason

    def _forget_generations(self) -> None:
        used = {one.generation for one in self.instances.values()} | {self.wanted}
        self.generations = {number: one for number, one in self.generations.items() if number in used}

    # ── what is to be done ─────────────────────────────────────────────────────────────────────────────────────

    def decide(self, now: float) -> list[Action]:
        """What is to be done now. Telling is remembered: an instance is told once, and killed once."""
        if not self.drained and not self.attended and self.steady(now):
            self.drained = True  # whoever asked for this generation is gone, and it stands
        self._forget_generations()
        return [*self._late(now), *self._superfluous(now), *self._missing(now)]

    def steady(self, now: float) -> bool:
        """Whether every wanted place has been filled for a while by one process."""
        filled = [self._in(self.wanted, *place) for place in self.places]
        return all(one is not None and now - one.began >= STEADY for one in filled)

    def _late(self, now: float) -> Iterator[Action]:
        for one in self.instances.values():
            if one.stopping is not None and not one.killed and now >= one.stopping + one.plan.stop_within:
                one.killed = True
                yield Tell(one.id, signal.SIGKILL)

    def _superfluous(self, now: float) -> Iterator[Action]:
        for one in self.instances.values():
            wanted = one.generation == self.wanted and not self.empty
            if one.trial or one.stopping is not None or wanted:
                continue
            if self.drained or self._gives_way(one):
                yield self.stop(one, now)

    def _gives_way(self, old: Instance) -> bool:
        generation = self.generations.get(self.wanted)
        plan = generation.plans.get(old.process) if generation else None
        return plan is not None and plan.replace == STOP_FIRST

    def _missing(self, now: float) -> Iterator[Action]:
        for (process, number), place in self.places.items():
            if self._in(self.wanted, process, number) or now < place.not_before:
                continue
            if not self._blocked(process):
                yield Start(process, number)

    def _blocked(self, process: str) -> bool:
        """Whether a stop-first process still has an instance of another generation, or one that is stopping."""
        plan = self.generations[self.wanted].plans[process]
        if plan.replace != STOP_FIRST:
            return False
        return any(
            one.process == process and not one.trial and (one.generation != self.wanted or one.stopping is not None)
            for one in self.instances.values()
        )

    def deadline(self, now: float) -> float | None:
        """When `decide` may have something new to say without anything happening; None: never."""
        moments = [one.stopping + one.plan.stop_within for one in self.instances.values()
                   if one.stopping is not None and not one.killed]  # fmt: skip
        moments += [place.not_before for place in self.places.values() if place.not_before > now]
        if not self.drained and not self.attended:
            moments += [one.began + STEADY for one in self.instances.values() if one.began + STEADY > now]
        return min(moments, default=None)

    # ── what is shown ──────────────────────────────────────────────────────────────────────────────────────────

    def shown(self, now: float) -> list[dict[str, Any]]:
        """Every instance and every empty place, for `status`. `up` in seconds."""
        rows = [self._row(one, now) for one in self.instances.values()]
        for (process, number), place in self.places.items():
            if not self._in(self.wanted, process, number):
                rows.append(self._waiting(process, number, place, now))
        return sorted(rows, key=lambda row: (row["process"], row["number"], row["generation"]))

    def _row(self, one: Instance, now: float) -> dict[str, Any]:
        place = self.places.get((one.process, one.number)) if one.generation == self.wanted else None
        state = "trial" if one.trial else "running" if one.stopping is None else "stopping"
        return {
            "process": one.process, "number": one.number, "generation": one.generation, "seq": one.seq, "id": one.id,
            "listen": one.plan.listen,
            "pid": one.pid, "state": state, "up": now - one.began, "ends": place.ends if place else 0,
            "last_status": place.last_status if place else None, "reason": place.last_reason if place else "",
        }  # fmt: skip

    def _waiting(self, process: str, number: int, place: Place, now: float) -> dict[str, Any]:
        return {
            "process": process, "number": number, "generation": self.wanted,
            "seq": self.generations[self.wanted].seq, "id": 0, "pid": 0, "state": "waiting",
            "listen": self.generations[self.wanted].plans[process].listen,
            "up": 0.0, "ends": place.ends, "last_status": place.last_status, "reason": place.last_reason,
            "again": max(0.0, place.not_before - now),
        }  # fmt: skip


def _places(generation: Generation | None) -> list[tuple[str, int]]:
    if generation is None:
        return []
    return [(name, number) for name, plan in generation.plans.items() for number in range(1, plan.instances + 1)]
