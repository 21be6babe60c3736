"""Everything that happens, as one versioned union: progress bars, `--json`, history and notifications are views of it.

Field names are part of the interface: a change that is not an addition raises EVENTS_VERSION. Times are seconds, sizes
bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Union

EVENTS_VERSION = 1


@dataclass(frozen=True)
class CommandBegan:
    """A command that changes or looks at an environment began. `verb` is the command line's."""

    verb: str
    app: str
    env: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class BuildBegan:
    """A build step begins, or is `reused` because its inputs did not change. `where` is "here" or a host."""

    command: str
    where: str
    reused: bool


@dataclass(frozen=True)
class BuildOutput:
    """A line that a build step printed."""

    line: str


@dataclass(frozen=True)
class Packed:
    """The release is there. `hashed` counts the files that had to be read."""

    release: str
    files: int
    size: int
    hashed: int
    commit: str
    dirty: bool
    seconds: float


@dataclass(frozen=True)
class Note:
    """Something a person should know that stops nothing."""

    text: str
    node: str = ""


@dataclass(frozen=True)
class NodeReached:
    """The session to a node is open and its engine answered."""

    node: str
    seconds: float


@dataclass(frozen=True)
class NodeLost:
    """A node cannot be reached, at the begin or later. `error` as in core.errors.to_wire."""

    node: str
    error: Mapping[str, Any]


@dataclass(frozen=True)
class AttemptBegan:
    """A deployment begins, or an unfinished one is `resumed`. `stable` is what the fleet goes back to (0: none)."""

    seq: int
    release: str
    stable: int
    resumed: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class StageBegan:
    """The node lacks `missing` bytes."""

    node: str
    missing: int


@dataclass(frozen=True)
class StageProgress:
    """So many of the missing bytes (uncompressed) are on their way."""

    node: str
    sent: int
    missing: int


@dataclass(frozen=True)
class StageEnded:
    """The node holds everything and it verified. `reused` bytes were there already."""

    node: str
    received: int
    reused: int
    seconds: float


@dataclass(frozen=True)
class WaveBegan:
    """These nodes flip now."""

    number: int
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class StepBegan:
    """A node's engine began a step of its journal."""

    node: str
    step: str


@dataclass(frozen=True)
class NodeOutput:
    """A line that a hook or the restart command printed on a node."""

    node: str
    source: str
    line: str


@dataclass(frozen=True)
class NodeFlipped:
    """The node runs the deployment, healthy where that is checked."""

    node: str
    seq: int
    seconds: float


@dataclass(frozen=True)
class BakeBegan:
    """The wave is watched for so long before the next one begins."""

    seconds: float


@dataclass(frozen=True)
class NodeFailed:
    """A step failed on a node. `restored`: it runs what it ran before."""

    node: str
    error: Mapping[str, Any]
    restored: bool


@dataclass(frozen=True)
class RevertBegan:
    """The fleet goes back to `stable` (0: to nothing)."""

    seq: int
    stable: int


@dataclass(frozen=True)
class NodeReverted:
    """The node runs `seq` again (0: nothing)."""

    node: str
    seq: int


@dataclass(frozen=True)
class ProbeBegan:
    """Requests to `url` begin, `rate` a second; for `seconds`, or (0) for as long as a rollout needs."""

    url: str
    rate: float
    seconds: float


@dataclass(frozen=True)
class NodeRestarted:
    """The node runs new processes of the deployment `seq`; the old ones have ended."""

    node: str
    seq: int
    seconds: float


@dataclass(frozen=True)
class ProbeFailed:
    """More requests failed than the probe's budget allows: the rollout goes back. `error` as in core.errors.to_wire."""

    error: Mapping[str, Any]


@dataclass(frozen=True)
class ProbedPhase:
    """The requests that began in one phase: "before" the first switch, "during" the rollout, "after" it, or "alone".

    `failed` counts failures by kind (ports.web) and `failed_kept` those of them on a connection that was used before;
    `client_errors` are answers 400 to 499 that are no failure; `early` are requests that failed before the site's first
    good answer, `not_sent` those for which too many were under way, `open` those still unanswered at the end: none of
    these counts as failed. Percentiles are of the time that
    complete answers took, in seconds; 0 if there were none.
    """

    name: str
    seconds: float
    requests: int
    failed: Mapping[str, int]
    failed_kept: int
    client_errors: int
    early: int
    not_sent: int
    open: int
    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class AnsweredSpan:
    """From `begin` to `end` (seconds since 1970) answers named these deployments in `header`; more than one: mixed."""

    begin: float
    end: float
    deployments: tuple[str, ...]


@dataclass(frozen=True)
class Probed:
    """What the probe saw, phase by phase, and which deployments answered when (empty: no answer named one)."""

    url: str
    rate: float
    header: str
    phases: tuple[ProbedPhase, ...]
    spans: tuple[AnsweredSpan, ...]


@dataclass(frozen=True)
class NodeStopped:
    """So many processes were ended on the node, and stay ended."""

    node: str
    ended: int


@dataclass(frozen=True)
class CommandEnded:
    """The command is over. `outcome`: "done", "nothing to do", "reverted" or "stopped"."""

    outcome: str
    seq: int
    release: str
    seconds: float
    connects: int
    round_trips: int
    bytes_sent: int
    bytes_received: int


Event = Union[
    CommandBegan, BuildBegan, BuildOutput, Packed, Note, NodeReached, NodeLost, AttemptBegan, StageBegan,
    StageProgress, StageEnded, WaveBegan, StepBegan, NodeOutput, NodeFlipped, BakeBegan, NodeFailed, RevertBegan,
    NodeReverted, NodeRestarted, NodeStopped, ProbeBegan, ProbeFailed, Probed, CommandEnded,
]  # fmt: skip
EVENTS: tuple[type[Any], ...] = (
    CommandBegan, BuildBegan, BuildOutput, Packed, Note, NodeReached, NodeLost, AttemptBegan, StageBegan,
    StageProgress, StageEnded, WaveBegan, StepBegan, NodeOutput, NodeFlipped, BakeBegan, NodeFailed, RevertBegan,
    NodeReverted, NodeRestarted, NodeStopped, ProbeBegan, ProbeFailed, Probed, CommandEnded,
)  # fmt: skip


def event_name(kind: type[Any]) -> str:
    """An event's name in JSON: its class name in snake case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def to_json(event: Event, at: float) -> dict[str, Any]:
    """An event as JSON-able data; `at` is when it happened, in seconds since 1970, UTC."""
    return {"v": EVENTS_VERSION, "event": event_name(type(event)), "at": round(at, 3), **asdict(event)}
