"""The requests that carry a plan out, as values: what is said to a node, without saying it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache

from mikoshi.core import release as releases
from mikoshi.core import transfer
from mikoshi.core.deployment import Deployment, FleetRecord, Settings
from mikoshi.core.messages import CreateRecord, Settle, Stage

KEEP = "$keep"


def environment_blob(settings: Settings, secrets: Mapping[str, str], kept: tuple[str, ...]) -> bytes:
    """The env file's content for one host: vars and secrets by name, and the names whose values the node keeps."""
    values: dict[str, object] = {**settings.vars, **secrets}
    if kept:
        values[KEEP] = list(kept)
    return json.dumps(values).encode()


def stage(
    deployment: Deployment,
    settings: Settings,
    content: tuple[releases.Manifest, transfer.TransferIndex],
    base: releases.Manifest | None,
    environment: bytes,
) -> tuple[Stage, tuple[bytes, ...]]:
    """The request that begins staging on one host, and its blobs. With `base`, only the difference to it is said."""
    manifest, index = content
    base_id = ""
    first = releases.encode(manifest)
    if base is not None:
        delta = _encoded_delta(_Pair(base.id, manifest.id, base, manifest))
        if len(delta) < len(first):
            base_id, first = base.id, delta
    request = Stage(deployment.to_json(), settings.to_json(), base_id)
    return request, (first, transfer.encode(index), environment)


@dataclass(frozen=True)
class _Pair:
    """Two releases: equal if their ids are, which is quick to see."""

    base_id: str
    manifest_id: str
    base: releases.Manifest = field(compare=False)
    manifest: releases.Manifest = field(compare=False)


@lru_cache(maxsize=4)
def _encoded_delta(pair: _Pair) -> bytes:
    """Made once for all hosts that hold the same."""
    return encode_delta(pair.base, pair.manifest)


def encode_delta(base: releases.Manifest, manifest: releases.Manifest) -> bytes:
    """The difference between two manifests as the first blob of a Stage."""
    dropped, changed = releases.difference(base, manifest)
    rows = [asdict(entry) for entry in changed]
    return json.dumps({"platform": manifest.platform, "dropped": list(dropped), "changed": rows}).encode()


def create_record(record: FleetRecord) -> CreateRecord:
    """The request that gives a deployment its number on the anchor."""
    return CreateRecord(record.to_json())


def settle(
    seq: int, outcome: str, stable: int, keep: int, protect: tuple[int, ...], entry: Mapping[str, object]
) -> Settle:
    """The request that ends an attempt on a node; `protect` are numbers that must not be pruned there."""
    return Settle(seq, outcome, stable, keep, tuple(sorted({seq for seq in protect if seq})), entry)
