"""What deployer and node engine say to each other: requests, replies and events as data.

Each request is a message `{"do": name, "id": n, "blobs": k, …fields}` followed by k blobs; the node answers
`{"id": n, "ok": {…}, "blobs": k}` or `{"id": n, "error": {…}}`, and may send `{"event": {…}, "id": n}` before that.
A request is handled completely before the next one, except `Renew`, which is answered at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Union

from mikoshi.core.errors import ProtocolMismatch

PROTOCOL = 1


@dataclass(frozen=True)
class Hello:
    """First on every session: which application, where. Reads only. `path` "" means the node's default.

    Reply: NodeView (as JSON).
    """

    app: str
    env: str
    path: str = ""
    run_as: str = ""
    protocol: int = PROTOCOL


@dataclass(frozen=True)
class Acquire:
    """Take the lease for `ttl` seconds. Reply: {"token": int, "view": NodeView}. Errors: LeaseHeld, PathUnusable.

    Creates the environment's directories where they are missing.
    """

    holder: str
    message: str
    ttl: float


@dataclass(frozen=True)
class Renew:
    """Extend the lease by its ttl from now. Reply: {}. Errors: Fenced."""


@dataclass(frozen=True)
class Release:
    """Give the lease back. Reply: {}."""


@dataclass(frozen=True)
class SettingsKey:
    """The environment's HMAC key (anchor only). Reply: {"key": hex}, "" if there is none.

    `create`, under the lease: make it if absent.
    """

    create: bool = True


@dataclass(frozen=True)
class CreateRecord:
    """Create a fleet record exclusively (anchor only). Reply: {"created": bool}: false if that seq exists."""

    record: Mapping[str, Any]


@dataclass(frozen=True)
class UpdateRecord:
    """Change a fleet record's outcome (anchor only). Reply: {}. Errors: DeploymentUnknown."""

    seq: int
    outcome: str
    ended: float = 0.0
    causes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """Begin (or resume) staging a deployment. Blobs: manifest or delta, transfer index, env file.

    `base` "": the first blob is the encoded manifest; else it is a JSON delta against that release's manifest
    ({"platform", "dropped", "changed"}), which the node holds. `deployment` and `settings` as JSON, the settings as
    this host has them.
    Reply: {"missing_bytes": int, "staged": bool} and one blob: a bitmap of missing chunks (core.transfer). "staged"
    means that nothing is left to do, StageEnd included.
    Errors: ContentMissing if base is not held, DiskFull, InodesExhausted, SharedMissing, SharedConflict,
    ForeignPlatform …
    """

    deployment: Mapping[str, Any]
    settings: Mapping[str, Any]
    base: str = ""


@dataclass(frozen=True)
class StageEnd:
    """After the missing chunks were sent as `C` frames: verify, sync, record, repair kept trees that were edited.

    Reply: {"reused": int, "received": int, "edited": {seq: [path …]}}: bytes, and the trees that differed from what was
    deployed. Errors: ContentCorrupt, DiskFull …
    """

    seq: int


@dataclass(frozen=True)
class Activate:
    """Flip to a staged deployment: verify, before_activate, rename, restart, health, after_activate.

    `previous` is where `current` goes back to if that fails (0: nowhere). Events: StepStarted, Output. Reply:
    {"seconds": float, "changed": bool}. A failure carries its own type; the node has by then gone back to `previous`,
    or the error reply's "restored" is false.
    """

    seq: int
    previous: int


@dataclass(frozen=True)
class Revert:
    """Go back to the kept deployment `seq` (0: remove `current`): verify, rename, restart, health; no hooks.

    Done already is success. Reply: {"changed": bool}. Errors: TreeEdited, HealthFailed …
    """

    seq: int


@dataclass(frozen=True)
class Alive:
    """Check health of the running deployment once more (end of bake). Reply: {}. Errors: HealthFailed."""


@dataclass(frozen=True)
class Settle:
    """Record how the attempt ended here and prune. `keep` counts successful deployments; `protect` are never pruned.

    Reply: {"pruned": [seq …]}.
    """

    seq: int
    outcome: str
    stable: int
    keep: int
    protect: tuple[int, ...]
    entry: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """The audit trail, newest last. Reply: {"entries": […]}."""

    limit: int = 100


@dataclass(frozen=True)
class Remember:
    """Add an entry to the audit trail for what was no deployment: a restart, a stop. Reply: {}."""

    entry: Mapping[str, Any]


@dataclass(frozen=True)
class Describe:
    """Manifest and index of a release the node holds. Reply: {} and two blobs. Errors: ContentMissing."""

    release: str


@dataclass(frozen=True)
class Fetch:
    """Send chunks of a release the node holds as `C` frames, then the reply {}. Blob: bitmap of wanted chunks."""

    release: str


@dataclass(frozen=True)
class Processes:
    """What the process runner keeps here. Reads only. Reply: {"processes": [ProcessView as JSON]}."""


@dataclass(frozen=True)
class Restart:
    """New processes for the running deployment, without a gap; where the user has a `restart`, run that.

    Reply: {"seconds": float}. Errors: NotStaged if nothing runs, ProcessEnded … The old processes go on then.
    """


@dataclass(frozen=True)
class Stop:
    """End every process of the runner's, until the next deploy or restart; over boots too. Reply: {"ended": int}."""


@dataclass(frozen=True)
class Logs:
    """The last `lines` lines of each process's output ("": of all processes), as events Output; `follow`: and what
    comes, until the session ends. Reply: {}."""

    process: str = ""
    lines: int = 100
    follow: bool = False


Request = Union[
    Hello, Acquire, Renew, Release, SettingsKey, CreateRecord, UpdateRecord, Stage, StageEnd, Activate, Revert, Alive,
    Settle, History, Remember, Describe, Fetch, Processes, Restart, Stop, Logs,
]  # fmt: skip
REQUESTS: tuple[type[Any], ...] = (
    Hello, Acquire, Renew, Release, SettingsKey, CreateRecord, UpdateRecord, Stage, StageEnd, Activate, Revert, Alive,
    Settle, History, Remember, Describe, Fetch, Processes, Restart, Stop, Logs,
)  # fmt: skip
_BY_NAME = {kind.__name__: kind for kind in REQUESTS}


def to_message(request: Request) -> dict[str, Any]:
    """A request as JSON-able data, without its id and blobs."""
    return {"do": type(request).__name__, **asdict(request)}


def from_message(data: Mapping[str, Any]) -> Request:
    """The request in `data`; raises ProtocolMismatch."""
    kind = _BY_NAME.get(str(data.get("do")))
    if kind is None:
        raise ProtocolMismatch(f"unknown request {data.get('do')!r}")
    values = {name: value for name, value in data.items() if name not in ("do", "id", "blobs")}
    for name in ("causes", "protect"):
        if name in values:
            values[name] = tuple(values[name])
    try:
        return kind(**values)  # type: ignore[no-any-return]
    except TypeError as error:
        raise ProtocolMismatch(f"{kind.__name__}: {error}") from error


# ── what a node shows of itself ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class LeaseView:
    """The lease as the node sees it; `expires_in` in seconds, `alive` whether it still binds anyone."""

    holder: str
    message: str
    token: int
    expires_in: float
    alive: bool


@dataclass(frozen=True)
class Kept:
    """A deployment that stands on the node. `staged`: complete and recorded; `verdict` is its attempt's outcome here:
    "" (never activated), "running", "done" or "failed"."""

    seq: int
    release: str
    settings_digest: str
    staged: bool
    verdict: str = ""
    by: str = ""
    at: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class ProcessView:
    """One process that the runner keeps, or a place that waits for one. `state`: "running", "stopping", "trial",
    "waiting". `up` in seconds; `ends` counts how often one ended there by itself, `last_status` how (null: not known).
    `cpu` in seconds since its start and `memory` in bytes are those of the process and all its children. `generation`
    tells two sets of one deployment apart; `wanted` whether it is of the one that is to serve."""

    process: str
    number: int
    seq: int
    generation: int
    wanted: bool
    pid: int
    state: str
    up: float
    ends: int
    listen: str
    last_status: int | None = None
    reason: str = ""
    cpu: float = 0.0
    memory: int = 0

    @property
    def name(self) -> str:
        """What people call it: "web.1"."""
        return f"{self.process}.{self.number}"


@dataclass(frozen=True)
class NodeView:
    """Everything a deployer needs to know of a node to plan. Sizes in bytes, counts of inodes (-1: unlimited).

    `identity` is equal for two names of one machine and directory. `current` 0: nothing runs. `interrupted` names the
    step that the journal says was begun and never ended. `fleet` is not empty on the anchor only. `stopped`: somebody
    ended the processes, and they stay ended until the next deploy or restart.
    """

    hostname: str
    user: str
    uid: int
    root: bool
    python: str
    platform: str
    boot_id: str
    identity: str
    path: str
    free_bytes: int
    free_inodes: int
    current: int = 0
    kept: tuple[Kept, ...] = ()
    highest_seq: int = 0
    interrupted: str = ""
    lease: LeaseView | None = None
    fleet: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    processes: tuple[ProcessView, ...] = ()
    stopped: bool = False

    def to_json(self) -> dict[str, Any]:
        """The view as JSON-able data."""
        return asdict(self)

    def holds(self, seq: int) -> Kept | None:
        """The kept deployment with this number, or None."""
        return next((kept for kept in self.kept if kept.seq == seq), None)


def node_view_from_json(data: Mapping[str, Any]) -> NodeView:
    """The inverse of `NodeView.to_json`; raises ProtocolMismatch."""
    try:
        values: dict[str, Any] = dict(data)
        values["kept"] = tuple(Kept(**kept) for kept in values.get("kept", ()))
        values["lease"] = LeaseView(**values["lease"]) if values.get("lease") else None
        values["processes"] = tuple(ProcessView(**one) for one in values.get("processes", ()))
        for name in ("fleet", "warnings"):
            values[name] = tuple(values.get(name, ()))
        return NodeView(**values)
    except TypeError as error:
        raise ProtocolMismatch(f"a node's view of itself: {error}") from error


@dataclass(frozen=True)
class Output:
    """Event: a line that a hook or the restart command printed, or (Logs) a process."""

    source: str
    line: str


@dataclass(frozen=True)
class StepStarted:
    """Event: the engine journalled the begin of `step`."""

    step: str


NODE_EVENTS: tuple[type[Any], ...] = (Output, StepStarted)


def event_to_json(event: Output | StepStarted) -> dict[str, Any]:
    """A node's event as JSON-able data."""
    return {"kind": type(event).__name__, **asdict(event)}


def event_from_json(data: Mapping[str, Any]) -> Output | StepStarted:
    """The inverse of `event_to_json`; raises ProtocolMismatch."""
    values = dict(data)
    kind = {event.__name__: event for event in NODE_EVENTS}.get(str(values.pop("kind", "")))
    if kind is None:
        raise ProtocolMismatch(f"unknown event {data!r}")
    return kind(**values)  # type: ignore[no-any-return]
