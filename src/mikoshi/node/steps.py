"""The steps of the engine and what the journal records of them: one closed union, which tests enumerate.

Every step has a case in tests/faults that kills the engine before and after its begin and its end are journalled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Union

ACTIVATE, REVERT = "activate", "revert"


class Step(str, Enum):
    """Everything the engine does to a node that takes time or changes what runs."""

    STAGE = "stage"
    BEFORE_ACTIVATE = "before_activate"
    TRIAL = "trial"
    SWITCH = "switch"
    SERVE = "serve"
    RESTART = "restart"
    HEALTH = "health"
    AFTER_ACTIVATE = "after_activate"
    SETTLE = "settle"


@dataclass(frozen=True)
class AttemptBegun:
    """The way to `seq` begins; `goal` is ACTIVATE or REVERT. `previous` is where it goes back to (0: nowhere)."""

    seq: int
    goal: str
    previous: int
    boot_id: str


@dataclass(frozen=True)
class AttemptEnded:
    """The way to `seq` ended with `outcome`: "done" or "failed"."""

    seq: int
    goal: str
    outcome: str


@dataclass(frozen=True)
class StepBegun:
    """`step` was begun for `seq`."""

    seq: int
    step: Step


@dataclass(frozen=True)
class StepEnded:
    """`step` ended for `seq`. `boot_id`: in which boot; `detail` is "" or the error's type."""

    seq: int
    step: Step
    boot_id: str
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the step succeeded."""
        return not self.detail


@dataclass(frozen=True)
class Verdict:
    """What became of the deployment here: "done" or "failed"; "" says nothing but that its number was given out."""

    seq: int
    outcome: str


@dataclass(frozen=True)
class TreeFoundEdited:
    """The tree of `seq` was not what was deployed; `paths` are some of those that differed."""

    seq: int
    paths: tuple[str, ...]


@dataclass(frozen=True)
class TreeRepaired:
    """The tree of `seq` is what was deployed again."""

    seq: int


Record = Union[AttemptBegun, AttemptEnded, StepBegun, StepEnded, Verdict, TreeFoundEdited, TreeRepaired]
RECORDS: tuple[type[Any], ...] = (
    AttemptBegun, AttemptEnded, StepBegun, StepEnded, Verdict, TreeFoundEdited, TreeRepaired,
)  # fmt: skip
_BY_NAME = {kind.__name__: kind for kind in RECORDS}


def record_to_json(record: Record) -> dict[str, Any]:
    """A record as JSON-able data."""
    return {"record": type(record).__name__, **asdict(record)}


def record_from_json(data: Mapping[str, Any]) -> Record:
    """The inverse of `record_to_json`; raises KeyError, TypeError or ValueError for anything else."""
    values = dict(data)
    kind = _BY_NAME[values.pop("record")]
    if "step" in values:
        values["step"] = Step(values["step"])
    if "paths" in values:
        values["paths"] = tuple(values["paths"])
    return kind(**values)  # type: ignore[no-any-return]
