"""The deployments that stand on the node: read from their directories, never from memory of an earlier session."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from mikoshi.core import release as releases
from mikoshi.core import transfer
from mikoshi.core.deployment import Deployment, Settings, canonical_json, deployment_from_json, settings_from_json
from mikoshi.core.errors import NotStaged
from mikoshi.core.release import MalformedManifest, Manifest
from mikoshi.core.transfer import MalformedIndex, TransferIndex
from mikoshi.node.layout import Layout, layout_of
from mikoshi.node.paths import DeploymentPaths, EnvironmentPaths


@dataclass(frozen=True)
class Stored:
    """A deployment with its settings as this node got them. `staged`: complete, and recorded as such."""

    deployment: Deployment
    settings: Settings
    staged: bool

    @property
    def seq(self) -> int:
        """The deployment's number."""
        return self.deployment.seq


def encode_record(deployment: dict[str, Any], settings: dict[str, Any]) -> bytes:
    """What stands in `intent` and later in `record`."""
    return canonical_json({"deployment": deployment, "settings": settings})


class Deployments:
    """Reads what is kept. Manifests and indexes are read once; `forget` where they may have changed."""

    def __init__(self, paths: EnvironmentPaths) -> None:
        self._paths = paths
        self._manifests: dict[int, Manifest] = {}
        self._indexes: dict[int, TransferIndex] = {}

    def paths(self, seq: int) -> DeploymentPaths:
        """Where a deployment's files stand."""
        return self._paths.deployment(seq)

    def seqs(self) -> list[int]:
        """The numbers that have a directory, ascending."""
        try:
            names = os.listdir(self._paths.deployments)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(int(name) for name in names if name.isascii() and name.isdigit() and str(int(name)) == name)

    def current(self) -> int:
        """The number of the deployment that `current` leads to; 0 for none."""
        try:
            parts = os.readlink(self._paths.current).split("/")
        except (FileNotFoundError, NotADirectoryError):
            return 0
        if len(parts) != 3 or parts[::2] != ["deployments", "tree"] or not parts[1].isdigit():
            return 0
        return int(parts[1])

    def load(self, seq: int) -> Stored | None:
        """The deployment with this number, complete or not; None if there is none or its record cannot be read."""
        paths = self.paths(seq)
        for path, staged in ((paths.record, True), (paths.intent, False)):
            try:
                with open(path, "rb") as file:
                    data = json.loads(file.read())
                return Stored(deployment_from_json(data["deployment"]), settings_from_json(data["settings"]), staged)
            except FileNotFoundError:
                continue
            except (ValueError, KeyError, TypeError):
                return None
        return None

    def stored(self) -> list[Stored]:
        """Every deployment whose record or intent can be read, ascending."""
        return [found for found in map(self.load, self.seqs()) if found is not None]

    def staged(self, seq: int) -> Stored:
        """The complete deployment with this number; raises NotStaged."""
        found = self.load(seq)
        if found is None or not found.staged:
            raise NotStaged(seq)
        return found

    def manifest_bytes(self, seq: int) -> bytes:
        """The encoded manifest, compared with the record. Raises NotStaged if there is none that fits."""
        found = self.load(seq)
        try:
            with open(self.paths(seq).manifest, "rb") as file:
                data = file.read()
        except FileNotFoundError as error:
            raise NotStaged(seq) from error
        if found is None or releases.release_id(data) != found.deployment.release:
            raise NotStaged(seq)
        return data

    def manifest(self, seq: int) -> Manifest:
        """The manifest. Raises NotStaged if there is none or it is damaged."""
        if seq not in self._manifests:
            try:
                self._manifests[seq] = releases.decode_known(self.manifest_bytes(seq))
            except MalformedManifest as error:
                raise NotStaged(seq) from error
        return self._manifests[seq]

    def index_bytes(self, seq: int) -> bytes:
        """The encoded transfer index; an empty one where it is missing."""
        try:
            with open(self.paths(seq).index, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return transfer.encode(TransferIndex({}))

    def index(self, seq: int) -> TransferIndex:
        """The transfer index; an empty one where it cannot be read, since it only helps to find content."""
        if seq not in self._indexes:
            try:
                index = transfer.decode(self.index_bytes(seq))
                transfer.check(self.manifest(seq), index)
            except MalformedIndex:
                index = TransferIndex({})
            self._indexes[seq] = index
        return self._indexes[seq]

    def layout(self, seq: int) -> Layout:
        """What the deployment's tree must hold. Raises NotStaged."""
        found = self.load(seq)
        if found is None:
            raise NotStaged(seq)
        return layout_of(self.manifest(seq), found.settings.shared)

    def with_release(self, release: str) -> int | None:
        """A complete deployment of this release, the newest, or None."""
        return next(
            (one.seq for one in reversed(self.stored()) if one.staged and one.deployment.release == release), None
        )

    def remember(self, seq: int, manifest: Manifest) -> None:
        """What stands on the disk for this deployment since just now; reading it again would cost."""
        self._manifests[seq] = manifest

    def forget(self, seq: int) -> None:
        """Read this deployment anew next time."""
        self._manifests.pop(seq, None)
        self._indexes.pop(seq, None)

    def sources(self, own: int) -> tuple[int, ...]:
        """Deployments that may hold content for `own`: `current` first, then the newest."""
        current = self.current()
        others = [seq for seq in reversed(self.seqs()) if seq not in (own, current)]
        return tuple(seq for seq in (current, *others) if seq not in (own, 0))
