"""The audit trail: one JSON line for each attempt, on every node and on the deployer's machine."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mikoshi.core.errors import MikoshiError
from mikoshi.core.messages import History
from mikoshi.engine.fleet import Fleet


def local_file(state: Path, app: str, env: str) -> Path:
    """Where this machine keeps the trail of one environment."""
    return state / "history" / app / f"{env}.jsonl"


def append(file: Path, entry: Mapping[str, Any]) -> None:
    """Add an entry. One write of one line, so that two deployers cannot mix theirs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(entry, ensure_ascii=False, sort_keys=True) + "\n"
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read(file: Path, limit: int) -> list[dict[str, Any]]:
    """The last `limit` entries, oldest first; a line cut short by a crash is left out."""
    if not file.exists():
        return []
    entries = []
    for line in file.read_text().splitlines()[-limit:]:
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries


async def of_fleet(fleet: Fleet, limit: int) -> list[dict[str, Any]]:
    """The trail as the nodes have it: the anchor's, or if it cannot be reached the longest of the others'.

    Raises the anchor's error if no node answers.
    """
    anchor = fleet.target.anchor
    order = sorted(fleet.sessions, key=lambda node: node != anchor)
    failure: MikoshiError | None = fleet.errors.get(anchor)
    for node in order:
        try:
            reply = await fleet.ask(node, History(limit))
        except MikoshiError as error:
            failure = failure or error
            continue
        return list(reply.fields["entries"])
    raise failure or MikoshiError()
