"""What is remembered of a kept release beside its content, for people: who made it, when, and from what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class KeptRelease:
    """One kept release.

    `at` is when it was first made and `used` when it was last packed or deployed, in seconds since 1970, UTC. `commit`
    is "" outside git; `dirty` says that the work tree had changes which the commit has not. `size` is in bytes.
    """

    id: str
    app: str
    by: str
    at: float
    used: float
    size: int
    files: int
    platform: str
    commit: str = ""
    dirty: bool = False
    message: str = ""


def merged(before: KeptRelease, now: KeptRelease) -> KeptRelease:
    """The record of a release that is kept again: made by who made it, and from the cleaner of the two sources."""
    cleaner = now if now.commit and not now.dirty else before
    return replace(
        before,
        used=max(before.used, now.used),
        commit=cleaner.commit,
        dirty=cleaner.dirty,
        message=before.message or now.message,
    )


def to_json(record: KeptRelease) -> dict[str, Any]:
    """A record as JSON-able data."""
    return asdict(record)


def from_json(data: Mapping[str, Any]) -> KeptRelease:
    """The inverse of `to_json`. Raises TypeError for anything else."""
    return KeptRelease(**data)
