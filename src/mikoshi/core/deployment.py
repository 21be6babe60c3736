"""A deployment: a number, a release and settings, immutable once created.

Settings are what of the configuration reaches the running application; their digest tells whether anything there
changed. Secrets take part by keyed hash only, so that neither digest nor record gives one away.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

RUNNING, REVERTING, DONE, FAILED = "running", "reverting", "done", "failed"
OUTCOMES = (RUNNING, REVERTING, DONE, FAILED)


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def secret_mac(key: bytes, name: str, value: str) -> str:
    """HMAC-SHA-256 of a secret under the environment's key, in hex; the name takes part."""
    return hmac.new(key, f"{name}\0{value}".encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Settings:
    """What the nodes need to know beside the release: JSON-able values, without any secret's value.

    `processes` are the merged `[process.*]` tables; `hosts` holds what single hosts have of their own
    ({host: {"vars": …, "processes": …}}); `secrets` are name → HMAC.
    """

    processes: Mapping[str, Any] = field(default_factory=dict)
    vars: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, Any] = field(default_factory=dict)
    shared: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()
    hooks: Mapping[str, Any] = field(default_factory=dict)
    run_as: str = ""
    restart: Any = None
    replaces: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON-able data."""
        return json.loads(canonical_json(asdict(self)))  # type: ignore[no-any-return]

    def digest(self) -> str:
        """SHA-256, in hex, of the canonical JSON."""
        return hashlib.sha256(canonical_json(self.to_json())).hexdigest()

    def for_host(self, host: str) -> Settings:
        """These settings as one host has them: its own vars and processes merged in, the other hosts' left out."""
        own = self.hosts.get(host, {})
        return Settings(
            processes=own.get("processes", self.processes),
            vars={**self.vars, **own.get("vars", {})},
            shared=self.shared,
            assets=self.assets,
            hooks=self.hooks,
            run_as=self.run_as,
            restart=self.restart,
            replaces=self.replaces,
            secrets=self.secrets,
        )


def settings_from_json(data: Mapping[str, Any]) -> Settings:
    """The inverse of `Settings.to_json`; unknown keys are a TypeError."""
    values = dict(data)
    for name in ("shared", "assets"):
        values[name] = tuple(values.get(name, ()))
    return Settings(**values)


@dataclass(frozen=True)
class Deployment:
    """One numbered deployment.

    `origin` is the seq whose content it is: its own, or for a rollback that of what it copied. `at` is seconds since
    1970, UTC, by the deployer's clock: for people, never for decisions.
    """

    seq: int
    release: str
    settings_digest: str
    by: str
    at: float
    message: str = ""
    origin: int = 0
    commit: str = ""

    def same_content(self, other: Deployment) -> bool:
        """Whether both run the same release with the same settings."""
        return (self.release, self.settings_digest) == (other.release, other.settings_digest)

    def to_json(self) -> dict[str, Any]:
        """The deployment as JSON-able data."""
        return asdict(self)


def deployment_from_json(data: Mapping[str, Any]) -> Deployment:
    """The inverse of `Deployment.to_json`."""
    return Deployment(**data)


@dataclass(frozen=True)
class FleetRecord:
    """What the anchor keeps of one deployment: itself, its settings, and how its rollout stands.

    `stable` is the seq the fleet goes back to if it fails (0: none). `outcome` is one of OUTCOMES. Seconds as in
    Deployment. `hosts` are the nodes that the rollout was for.
    """

    deployment: Deployment
    settings: Settings
    stable: int
    hosts: tuple[str, ...]
    outcome: str = RUNNING
    ended: float = 0.0
    causes: tuple[str, ...] = ()

    @property
    def seq(self) -> int:
        """The deployment's number."""
        return self.deployment.seq

    @property
    def unfinished(self) -> bool:
        """Whether the rollout neither completed nor went back completely."""
        return self.outcome in (RUNNING, REVERTING)

    def to_json(self) -> dict[str, Any]:
        """The record as JSON-able data."""
        return {
            "deployment": self.deployment.to_json(),
            "settings": self.settings.to_json(),
            "stable": self.stable,
            "hosts": list(self.hosts),
            "outcome": self.outcome,
            "ended": self.ended,
            "causes": list(self.causes),
        }


def fleet_record_from_json(data: Mapping[str, Any]) -> FleetRecord:
    """The inverse of `FleetRecord.to_json`."""
    return FleetRecord(
        deployment=deployment_from_json(data["deployment"]),
        settings=settings_from_json(data["settings"]),
        stable=data["stable"],
        hosts=tuple(data["hosts"]),
        outcome=data["outcome"],
        ended=data["ended"],
        causes=tuple(data["causes"]),
    )
