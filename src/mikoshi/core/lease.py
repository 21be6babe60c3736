"""The lease on a node: a lock that ends by itself, told apart from every earlier one by its fencing token.

Pure: the node's boot clock, its boot id and whether the holding engine lives come in as arguments. The wall clock has
no part in it. A token never goes back: releasing a lease keeps it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from mikoshi.core.messages import LeaseView


class MalformedLease(ValueError):
    """The bytes are not a lease."""


@dataclass(frozen=True)
class EngineProcess:
    """The process that works under a lease. `started` is its start in clock ticks since boot, 0 where unknown;
    `namespace` names the process namespace in which `pid` means it."""

    pid: int = 0
    started: int = 0
    namespace: str = ""


@dataclass(frozen=True)
class Lease:
    """Who may change an environment on this node. `holder` "": nobody.

    `ttl` in seconds; `expires` in seconds of the boot clock of the boot `boot_id`.
    """

    token: int = 0
    holder: str = ""
    message: str = ""
    ttl: float = 0.0
    expires: float = 0.0
    boot_id: str = ""
    engine: EngineProcess = EngineProcess()

    def to_json(self) -> dict[str, Any]:
        """The lease as JSON-able data."""
        return asdict(self)


@dataclass(frozen=True)
class Instant:
    """Now, as a node knows it: seconds of the boot clock, and which boot that is."""

    clock: float
    boot_id: str


def lease_from_bytes(data: bytes) -> Lease:
    """The inverse of `lease_to_bytes`; raises MalformedLease."""
    try:
        values = json.loads(data)
        values["engine"] = EngineProcess(**values["engine"])
        return Lease(**values)
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedLease("not a lease") from error


def lease_to_bytes(lease: Lease) -> bytes:
    """The lease as one line of JSON."""
    return json.dumps(lease.to_json(), sort_keys=True).encode() + b"\n"


def remaining(lease: Lease, now: Instant) -> float:
    """Seconds until the lease ends by itself; 0 for none, an ended one and one of an earlier boot."""
    if not lease.holder or lease.boot_id != now.boot_id:
        return 0.0
    return max(0.0, lease.expires - now.clock)


def binds(lease: Lease, now: Instant, engine_gone: bool) -> bool:
    """Whether the lease keeps others out: held, not over, and its engine not known to be dead."""
    return remaining(lease, now) > 0 and not engine_gone


def taken(lease: Lease, holder: str, message: str, ttl: float, now: Instant, engine: EngineProcess) -> Lease:
    """The lease after somebody took it: the next token."""
    return Lease(lease.token + 1, holder, message, ttl, now.clock + ttl, now.boot_id, engine)


def renewed(lease: Lease, now: Instant) -> Lease:
    """The lease extended by its ttl from now."""
    return replace(lease, expires=now.clock + lease.ttl, boot_id=now.boot_id)


def released(lease: Lease) -> Lease:
    """Nobody's lease, with the token kept."""
    return Lease(token=lease.token)


def view(lease: Lease, now: Instant, engine_gone: bool) -> LeaseView:
    """What others are shown of the lease."""
    return LeaseView(lease.holder, lease.message, lease.token, remaining(lease, now), binds(lease, now, engine_gone))
