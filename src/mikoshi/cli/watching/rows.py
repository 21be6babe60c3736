"""Processes as rows: what each uses, which are new and which are on their way out, in which order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from mikoshi.cli.processes import STANDING, trouble, whole_state
from mikoshi.core.messages import ProcessView

# What a row is, for its colour.
PLAIN, NEW, LEAVING, TRIAL, TROUBLE = "plain", "new", "leaving", "trial", "trouble"


@dataclass(frozen=True)
class Row:
    """A process, or (no `view`) what is to be said of a node. `cpu` in percent of one core, None: not known yet."""

    node: str
    order: tuple[int, str, int, int]
    state: str
    tone: str = PLAIN
    view: ProcessView | None = None
    cpu: float | None = None


def rows_of(place: int, node: str, now: Iterable[ProcessView], before: Sequence[ProcessView]) -> list[Row]:
    """The rows of one node, which is the `place`-th of the environment."""
    found = [
        Row(
            node, (place, view.process, view.number, view.generation), whole_state(view), tone(view), view,
            cpu_percent(view, before),
        )
        for view in now
    ]  # fmt: skip
    return found or [said(place, node, "no process")]


def said(place: int, node: str, state: str, tone: str = PLAIN) -> Row:
    """A row that only says something of a node."""
    return Row(node, (place, "", 0, 0), state, tone)


def tone(view: ProcessView) -> str:
    """What a process is just now."""
    if view.state == "trial":
        return TRIAL
    if view.state == "stopping" or not view.wanted:
        return LEAVING
    if trouble(view):
        return TROUBLE
    return NEW if view.pid and view.up < STANDING else PLAIN


def cpu_percent(now: ProcessView, before: Iterable[ProcessView]) -> float | None:
    """What a process and its children used since it was read before, in percent of one core.

    Times are the node's own: how long an answer travelled does not count. A child that ended takes its seconds with it.
    """
    for old in before:
        if old.pid == now.pid and old.generation == now.generation and now.pid and now.up > old.up:
            return max(0.0, now.cpu - old.cpu) / (now.up - old.up) * 100
    return None


def _by_name(row: Row) -> tuple[object, ...]:
    return row.order


def _by_cpu(row: Row) -> tuple[object, ...]:
    return (row.view is not None, -(row.cpu or 0.0), row.order)


def _by_memory(row: Row) -> tuple[object, ...]:
    return (row.view is not None, -(row.view.memory if row.view else 0), row.order)


SORTS: dict[str, Callable[[Row], tuple[object, ...]]] = {"name": _by_name, "cpu": _by_cpu, "memory": _by_memory}


def ordered(rows: Iterable[Row], by: str) -> list[Row]:
    """The rows by "name" (hosts as configured), "cpu" or "memory" (most first; what is said of nodes above all)."""
    return sorted(rows, key=SORTS[by])
