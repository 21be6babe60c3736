"""Every failure Mikoshi can name, as one tree of typed errors that carry facts.

MikoshiError                    1  unexpected: ours
├── UsageError                  2  wrong usage or configuration
├── Held                        3  somebody else has the lease
├── InfrastructureError         4  a host is out of reach or cannot hold what it is given
├── PackingError                5  no release could be made of the source
├── NodeFailure                 5  a step on a node failed (6 or 7 once nodes had changed: the outcome decides)
├── ProbeBudgetExceeded         6  more requests failed during the rollout than were allowed
└── DeployFailed             4-7   how a whole deploy ended: wraps the causes above

An error never holds a sentence to be parsed: the command line alone turns facts into text. Errors cross the wire
between node and deployer as `{"type": …, "facts": {…}}`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from mikoshi.core.error import MikoshiError as MikoshiError  # noqa: PLC0414 - the tree is imported from here

# ── usage ──────────────────────────────────────────────────────────────────────────────────────────────────────


class UsageError(MikoshiError):
    """The command or the configuration asks for something that cannot be."""

    exit_code: ClassVar[int] = 2


class WrongUsage(UsageError):
    """Options that contradict each other or miss something; `reason` is a full sentence."""

    reason: str


class ConfigMissing(UsageError):
    """There is no mikoshi.toml in `directory` or above it."""

    directory: str


class ConfigInvalid(UsageError):
    """The configuration has problems, all of them listed: each is one line that names file, line, key and remedy."""

    problems: list[str]


class EnvironmentUnknown(UsageError):
    """The named environment is not in mikoshi.toml."""

    name: str
    known: list[str]


class EnvironmentNotChosen(UsageError):
    """Several environments exist and none was named. `verb` is the command to complete."""

    verb: str
    known: list[str]


class HostNotInEnvironment(UsageError):
    """`--only` names a host that the environment does not have."""

    host: str
    known: list[str]


class SameMachine(UsageError):
    """Two entries of `hosts` lead to one machine and one directory."""

    first: str
    second: str


class OnlyNeedsDeployed(UsageError):
    """`--only` brings hosts to what the fleet has; this would be a new deployment (`changed`: release or settings)."""

    changed: list[str]
    current: int


class SecretsMissing(UsageError):
    """Secrets that the configuration names have no value; `looked` says where."""

    names: list[str]
    looked: list[str]


class SecretCommandFailed(UsageError):
    """The command at `where` that gives the secret `name` ended with `status`, or said nothing usable (`reason`)."""

    name: str
    where: str
    status: int
    reason: str


class SecretCommandTimeout(UsageError):
    """The command at `where` that gives the secret `name` ran longer than `seconds` and was killed."""

    name: str
    where: str
    seconds: float


class ReleaseUnknown(UsageError):
    """No release kept here, or on the nodes, has this id or the id is not unique."""

    name: str
    matches: list[str]


class RefUnknown(UsageError):
    """`--ref` is not something git knows here."""

    ref: str
    reason: str


class SourceDirty(UsageError):
    """`source = "clean"` and the work tree has uncommitted changes."""

    paths: list[str]


class DeploymentUnknown(UsageError):
    """`rollback --to` names a deployment that is not kept."""

    seq: int
    known: list[int]


class NothingToRollBackTo(UsageError):
    """There is no earlier known good deployment that differs from what runs."""

    stable: int


# ── held ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Held(MikoshiError):
    """Another deployer is at work; nothing was changed."""

    exit_code: ClassVar[int] = 3


class LeaseHeld(Held):
    """The lease has a living holder. `expires_in` is in seconds of the node's boot clock."""

    holder: str
    message: str
    expires_in: float


class Fenced(Held):
    """This deployer's lease was taken over (its token is `token`, the current one `current`): it must stop."""

    token: int
    current: int


# ── infrastructure ─────────────────────────────────────────────────────────────────────────────────────────────


class InfrastructureError(MikoshiError):
    """A machine or the way to it is at fault, not the application."""

    exit_code: ClassVar[int] = 4


class HostUnreachable(InfrastructureError):
    """No connection: refused, no route, or an unknown name. `reason` is the system's own text."""

    address: str
    reason: str


class HostTimeout(InfrastructureError):
    """The host did not answer within `seconds`; `phase` is "connect", "log in" or the request that hung."""

    phase: str
    seconds: float


class AuthenticationFailed(InfrastructureError):
    """The host refused every key offered for `user`."""

    user: str
    address: str


class HostKeyUnknown(InfrastructureError):
    """The host's key is in no known_hosts file and not pinned. `fingerprint` is what it showed, if it got that far."""

    address: str
    port: int
    fingerprint: str


class HostKeyChanged(InfrastructureError):
    """The host shows another key than the one known or pinned: a rebuilt host, or somebody in between."""

    address: str
    port: int
    fingerprint: str


class ConnectionLost(InfrastructureError):
    """The session ended in the middle of `during`; `detail` holds the remote side's last words, if any."""

    during: str
    detail: str


class TransportMissing(InfrastructureError):
    """A program or library that this transport needs is not on the deployer's machine."""

    needs: str


class SshConfigUnusable(InfrastructureError):
    """The SSH client's configuration asks for what the built-in client cannot do, or cannot be read.

    `place` is "FILE:LINE" or a file, `option` the directive or "", `reason` a full sentence. The remedy for an option
    is `ssh = "openssh"`.
    """

    place: str
    option: str
    reason: str


class PythonMissing(InfrastructureError):
    """The host has no Python 3.9 or newer; `found` is what it has, "" for none."""

    found: str


class ProtocolMismatch(InfrastructureError):
    """The other side said something that this version of the protocol does not know."""

    detail: str


class DiskFull(InfrastructureError):
    """The deployment needs more bytes than the file system of `path` has free. Nothing was written."""

    path: str
    needed: int
    free: int


class InodesExhausted(InfrastructureError):
    """The deployment needs more inodes than the file system of `path` has free. Nothing was written."""

    path: str
    needed: int
    free: int


class PathUnusable(InfrastructureError):
    """The deployment directory cannot be made or written; `reason` is the system's own text."""

    path: str
    reason: str


class SiteNotAnswering(InfrastructureError):
    """Each of the probe's first `requests` to `url` failed. `kinds` counts them by kind of failure (ports.web)."""

    url: str
    requests: int
    kinds: dict[str, int]


# ── packing ────────────────────────────────────────────────────────────────────────────────────────────────────


class PackingError(MikoshiError):
    """The source cannot become a release. No node was touched."""

    exit_code: ClassVar[int] = 5


class BuildStepFailed(PackingError):
    """A `[[release.build]]` step failed; `lines` are its last lines of output."""

    command: str
    status: int
    lines: list[str]


class BuildInputMissing(PackingError):
    """One of a build step's `inputs` names nothing that is packed; misspelt, it would never let the step run again."""

    command: str
    input: str


class RemoteCommandFailed(PackingError):
    """A build host could not do what a build needs there (`sh`, `tar`, `mktemp`); `lines` are its error output."""

    command: str
    status: int
    lines: list[str]


class BuildOutputMissing(PackingError):
    """A build step ended well without making one of its `outputs`."""

    command: str
    output: str


class LinkLeavesTree(PackingError):
    """A symbolic link points outside the release."""

    path: str
    target: str


class NameNotUtf8(PackingError):
    """A file name is not UTF-8; `path` shows it escaped."""

    path: str


class NotPackable(PackingError):
    """A socket, device or pipe, or a file that cannot be read; `reason` says which."""

    path: str
    reason: str


class FileChanged(PackingError):
    """A file kept changing while it was being packed."""

    path: str


class NothingToPack(PackingError):
    """Every file of the source is excluded, or there is none."""

    directory: str


class ContentMissing(PackingError):
    """The release's content is neither kept here nor on any node, so it cannot be sent."""

    release: str
    paths: list[str]


class ForeignPlatform(PackingError):
    """Packed files are built for another platform than the node's."""

    files: list[str]
    platform: str
    node_platform: str


# ── on a node ──────────────────────────────────────────────────────────────────────────────────────────────────


class NodeFailure(MikoshiError):
    """A step on a node failed, for a reason that is not the machine's reachability."""

    exit_code: ClassVar[int] = 5


class ContentCorrupt(NodeFailure):
    """What arrived does not have the digest it was announced under."""

    path: str
    expected: str
    got: str


class TreeEdited(NodeFailure):
    """The deployment's tree on the node is not what was deployed; `paths` are the first that differ."""

    seq: int
    paths: list[str]


class NotStaged(NodeFailure):
    """The node was asked for a deployment that it does not hold completely."""

    seq: int


class SharedMissing(NodeFailure):
    """A shared file (not a directory) is not on the node and has to be put there once, by hand."""

    path: str


class SharedConflict(NodeFailure):
    """The release itself packs something at or below a shared path."""

    path: str


class RunAsImpossible(NodeFailure):
    """`run_as` names another user than the one logged in, and there is neither root nor sudo (or no such user)."""

    run_as: str
    user: str
    reason: str


class HookFailed(NodeFailure):
    """A hook or the restart command ended with `status` (negative: killed by that signal)."""

    hook: str
    command: str
    status: int
    lines: list[str]


class HookTimeout(NodeFailure):
    """A hook or the restart command ran longer than `seconds` and was killed with its process group."""

    hook: str
    command: str
    seconds: float
    lines: list[str]


class HealthFailed(NodeFailure):
    """The application did not become healthy in time. `answer` is the last thing seen at `url`; `lines` its log."""

    process: str
    url: str
    answer: str
    seconds: float
    lines: list[str]


# ── the probe ──────────────────────────────────────────────────────────────────────────────────────────────────


class ProbeBudgetExceeded(MikoshiError):
    """Of `requests` to `url` since the first switch `failed` failed, and `budget` were allowed; `kinds` counts them."""

    exit_code: ClassVar[int] = 6
    url: str
    requests: int
    failed: int
    budget: int
    kinds: dict[str, int]


# ── the whole deploy ───────────────────────────────────────────────────────────────────────────────────────────


class PortTaken(NodeFailure):
    """A process's address is in use, by process `pid` called `name`; 0 and "" where that cannot be seen."""

    process: str
    address: str
    pid: int
    name: str


class AddressUnusable(NodeFailure):
    """A process cannot listen where it is configured to, for another reason than that somebody else does."""

    process: str
    address: str
    reason: str


class ProcessEnded(NodeFailure):
    """A process ended though it was to stay (`status` negative: by a signal) in a `phase`: trial, start or watch."""

    process: str
    status: int
    phase: str
    lines: list[str]
    opened: str


class ProcessNotStarted(NodeFailure):
    """A process could not be started at all."""

    process: str
    reason: str


class SocketNotUsed(NodeFailure):
    """A process took no connection from its socket. `opened`: what it opened itself instead, or ""."""

    process: str
    address: str
    opened: str
    seconds: float
    lines: list[str]


class RunnerUnavailable(NodeFailure):
    """The node's process runner cannot be started, does not answer, or speaks another protocol."""

    reason: str


class DeployFailed(MikoshiError):
    """How a deploy that failed ended. `causes` keep their own types; `changed` are nodes that need a person.

    `exit` is 4 (out of reach before anything changed), 5 (failed before any node changed), 6 (everything was
    reverted) or 7 (`changed` is not empty).
    """

    seq: int
    exit: int
    causes: list[MikoshiError]
    changed: list[str]
    stable: int
    not_undone: list[str]


class Interrupted(MikoshiError):
    """The user stopped the command; running it again resumes. `done` says how far it came."""

    exit_code: ClassVar[int] = 130
    done: str


# ── the wire ───────────────────────────────────────────────────────────────────────────────────────────────────


def _all_types(root: type[MikoshiError]) -> dict[str, type[MikoshiError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_all_types(child))
    return found


def error_types() -> dict[str, type[MikoshiError]]:
    """Every error of the tree by class name."""
    return _all_types(MikoshiError)


def to_wire(error: MikoshiError) -> dict[str, Any]:
    """An error as JSON-able data; the inverse of `from_wire`."""
    return {"type": type(error).__name__, "facts": error.facts(), "node": error.node, "step": error.step}


def from_wire(data: dict[str, Any]) -> MikoshiError:
    """The typed error again. An unknown type or wrong facts give a ProtocolMismatch that carries them."""
    kind = error_types().get(str(data.get("type")))
    facts = data.get("facts")
    if kind is None or not isinstance(facts, dict):
        return ProtocolMismatch(detail=f"unknown error {data!r}")
    try:
        error = kind(**facts)
    except TypeError:
        return ProtocolMismatch(detail=f"error with unknown facts {data!r}")
    return error.on(str(data.get("node", "")), str(data.get("step", "")))


def brief(error: MikoshiError) -> str:
    """An error in a few words for records: where, and which. Never output or values, which may hold secrets."""
    where = " ".join(word for word in (error.node, error.step) if word)
    return f"{where}: {type(error).__name__}" if where else type(error).__name__


def last_lines(text: str, count: int = 20) -> list[str]:
    """The last lines of `text` that are not blank, for the `lines` of an error."""
    return [line for line in text.splitlines() if line.strip()][-count:]
