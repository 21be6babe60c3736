"""Turns a Stage request into a checked order, and makes the environment's directories. No request is trusted."""

from __future__ import annotations

import json
from typing import Any

from mikoshi.core import release as releases
from mikoshi.core import transfer
from mikoshi.core.deployment import deployment_from_json, settings_from_json
from mikoshi.core.errors import ContentCorrupt, ContentMissing, PathUnusable, ProtocolMismatch
from mikoshi.core.messages import Stage
from mikoshi.core.release import Entry, MalformedManifest, Manifest
from mikoshi.core.transfer import MalformedIndex
from mikoshi.node.stage import Order
from mikoshi.node.workspace import Workspace

_BLOBS = 3


def make_environment(work: Workspace) -> None:
    """The directories and files that every deploy needs. Raises PathUnusable."""
    paths, files = work.paths, work.files
    try:
        for directory in (paths.deployments, paths.shared, paths.logs, paths.run):
            files.make_directories(directory)
        for path in (paths.journal, paths.history):
            files.create_durably(path, b"")
    except OSError as error:
        raise PathUnusable(paths.root, error.strerror or str(error)) from error


def decode(work: Workspace, request: Stage, blobs: list[bytes]) -> Order:
    """The order in a request. Raises ProtocolMismatch, ContentMissing, ContentCorrupt and SharedConflict."""
    if len(blobs) != _BLOBS:
        raise ProtocolMismatch(f"Stage has {len(blobs)} blobs instead of {_BLOBS}")
    try:
        deployment = deployment_from_json(request.deployment)
        settings = settings_from_json(request.settings)
        manifest, encoded = _manifest(work, request.base, blobs[0])
        index = transfer.decode(blobs[1])
        transfer.check(manifest, index)
        values = json.loads(blobs[2])
    except (MalformedManifest, MalformedIndex, TypeError, ValueError) as error:
        raise ProtocolMismatch(f"Stage: {error}") from error
    got = releases.release_id(encoded)
    if got != deployment.release:
        raise ContentCorrupt("manifest", deployment.release, got)
    if deployment.seq < 1 or not isinstance(values, dict):
        raise ProtocolMismatch("Stage: no proper number or environment")
    return Order(deployment, settings, manifest, index, encoded, blobs[1], values)


def _manifest(work: Workspace, base: str, blob: bytes) -> tuple[Manifest, bytes]:
    """The manifest and its canonical bytes, whole or as a difference to the release `base`."""
    if not base:
        return releases.decode(blob), blob
    seq = work.deployments.with_release(base)
    if seq is None:
        raise ContentMissing(base, [])
    delta: dict[str, Any] = json.loads(blob)
    platform = str(delta["platform"])
    # There and back, so that nothing but what a manifest can hold comes in: types as well as values.
    changed = releases.decode(releases.encode(releases.manifest(platform, [Entry(**one) for one in delta["changed"]])))
    result = releases.patched(work.deployments.manifest(seq), platform, delta["dropped"], changed.entries)
    return result, releases.encode(result)
