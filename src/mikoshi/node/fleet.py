"""What the anchor keeps for the whole fleet: a record of each deployment, and the environment's HMAC key."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mikoshi.core.deployment import canonical_json
from mikoshi.core.errors import DeploymentUnknown, PathUnusable, ProtocolMismatch
from mikoshi.node.files import Files
from mikoshi.node.paths import EnvironmentPaths

KEPT_RECORDS = 100
_KEY_BYTES = 32


def _path(paths: EnvironmentPaths, seq: int) -> str:
    return os.path.join(paths.fleet, f"{seq}.json")


def seqs(paths: EnvironmentPaths) -> list[int]:
    """The numbers that have a record, ascending."""
    try:
        names = os.listdir(paths.fleet)
    except (FileNotFoundError, NotADirectoryError):
        return []
    stems = (name[: -len(".json")] for name in names if name.endswith(".json"))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())


def records(paths: EnvironmentPaths) -> list[dict[str, Any]]:
    """Every record, ascending."""
    return [_read(paths, seq) for seq in seqs(paths)]


def _read(paths: EnvironmentPaths, seq: int) -> dict[str, Any]:
    path = _path(paths, seq)
    with open(path, "rb") as file:
        data = file.read()
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise PathUnusable(path, "it is not the record of a deployment any more; move it away") from error
    if not isinstance(record, dict):
        raise PathUnusable(path, "it is not the record of a deployment any more; move it away")
    return record


def create(paths: EnvironmentPaths, files: Files, record: Mapping[str, Any]) -> bool:
    """Write a record that does not exist yet, completely or not at all; False if its number is taken."""
    try:
        seq = int(record["deployment"]["seq"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolMismatch("a fleet record without a number") from error
    if seq < 1:
        raise ProtocolMismatch(f"{seq} is no deployment's number")
    files.make_directories(paths.fleet)
    return files.create_durably(_path(paths, seq), canonical_json(record))


def update(paths: EnvironmentPaths, files: Files, seq: int, outcome: str, ended: float, causes: Sequence[str]) -> None:
    """Change how a record's rollout stands. Raises DeploymentUnknown."""
    try:
        record = _read(paths, seq)
    except FileNotFoundError as error:
        raise DeploymentUnknown(seq, seqs(paths)) from error
    record.update(outcome=outcome, ended=ended, causes=list(causes))
    files.replace(_path(paths, seq), canonical_json(record))


def prune(paths: EnvironmentPaths, files: Files, needed: Collection[int]) -> None:
    """Remove all records but the newest ones and those that are `needed`: every deployer is shown all of them."""
    for seq in seqs(paths)[:-KEPT_RECORDS]:
        if seq not in needed:
            files.discard(_path(paths, seq))


def settings_key(paths: EnvironmentPaths, files: Files, create: bool) -> str:
    """The environment's HMAC key in hex; without one "", or with `create` a new one of fresh randomness."""
    if create:
        files.create_durably(paths.key, secrets.token_bytes(_KEY_BYTES).hex().encode(), mode=0o600)
    try:
        with open(paths.key, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""
