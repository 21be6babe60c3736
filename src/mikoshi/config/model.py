"""What mikoshi.toml says, as typed values: everything merged for one environment, defaults filled in.

Only values: no reading, no validation. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mikoshi.core.address import Address
from mikoshi.core.rollout import Policy


@dataclass(frozen=True)
class Command:
    """A shell command and how long it may take, in seconds."""

    run: str
    within: float


@dataclass(frozen=True)
class Health:
    """How a process shows that it is healthy: `GET path` within so many seconds.

    `explicit`: the path was given, so the answer must be 2xx or 3xx; otherwise anything below 500 will do.
    """

    path: str = "/"
    within: float = 30.0
    explicit: bool = False


@dataclass(frozen=True)
class Stop:
    """How a process is told to stop, by a signal's name without SIG, and how long it may take, in seconds."""

    signal: str = "TERM"
    within: float = 30.0


@dataclass(frozen=True)
class Limits:
    """What one instance may use: bytes of memory, processor cores, open files. None: no limit."""

    memory: int | None = None
    cpu: float | None = None
    files: int | None = None


@dataclass(frozen=True)
class Process:
    """One `[process.NAME]`. `listen` is "ADDRESS:PORT" or "" for none; `replace` "" leaves the order to that."""

    name: str
    command: str = ""
    listen: str = ""
    health: Health = field(default_factory=Health)
    instances: int = 1
    stop: Stop = field(default_factory=Stop)
    replace: str = ""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Host:
    """One entry of `hosts`: its address, its own vars, and the processes as they are there."""

    address: Address
    vars: Mapping[str, str] = field(default_factory=dict)
    processes: Mapping[str, Process] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.address.name


@dataclass(frozen=True)
class BuildStep:
    """One `[[release.build]]`. No `inputs`: it always runs."""

    run: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReleaseConfig:
    """`[release]`: what is packed and how it is built. `build_on`: "auto", "local", "hosts" or "ssh://…"."""

    exclude: tuple[str, ...] = ()
    build_on: str = "auto"
    build: tuple[BuildStep, ...] = ()


@dataclass(frozen=True)
class SshConfig:
    """How hosts are reached. `client` is "asyncssh" or "openssh"; durations in seconds."""

    client: str = "asyncssh"
    config: Path | None = None
    connect: float = 10.0
    keepalive: float = 15.0
    connections: int = 100


@dataclass(frozen=True)
class Environment:
    """Everything an environment has, merged and complete. `root` is the directory of mikoshi.toml.

    `hooks` has before_activate and after_activate. `keep` counts successful deployments. `path` "" leaves the
    choice to the node.
    """

    app: str
    name: str
    style: str
    root: Path
    hosts: tuple[Host, ...] = ()
    anchor: str = ""
    path: str = ""
    run_as: str = ""
    source: str = "tree"
    release: ReleaseConfig = field(default_factory=ReleaseConfig)
    processes: Mapping[str, Process] = field(default_factory=dict)
    vars: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    secrets_from: Path | None = None
    shared: tuple[str, ...] = ()
    hooks: Mapping[str, Command] = field(default_factory=dict)
    restart: Command | None = None
    domains: tuple[str, ...] = ()
    replaces: str = ""
    rollout: Policy = field(default_factory=Policy)
    keep: int = 5
    ssh: SshConfig = field(default_factory=SshConfig)
    notes: tuple[str, ...] = ()
