"""Chunks of a packed release, also where the kept object turns out damaged: then the source is read again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mikoshi.core.errors import ContentMissing, PackingError
from mikoshi.core.release import Manifest
from mikoshi.core.transfer import Place
from mikoshi.packing.library import Library


@dataclass(frozen=True)
class ReleaseReader:
    """Reads chunks of one release. `source` is the directory it was packed from, None if that is gone."""

    library: Library
    release: str
    manifest: Manifest
    source: Path | None = None

    def read(self, place: Place) -> bytes:
        """The chunk's bytes, verified. Raises ContentMissing if neither library nor source has them any more."""
        try:
            return self.library.read(place)
        except ContentMissing:
            paths = [entry.path for entry in self.manifest.files() if entry.digest == place.file]
            if not any(self._restored(path, place.file) for path in paths):
                raise ContentMissing(self.release, paths) from None
        return self.library.read(place)

    def _restored(self, path: str, digest: str) -> bool:
        if self.source is None:
            return False
        try:
            return self.library.objects.add_file(path, os.fsencode(self.source / path)).digest == digest
        except PackingError:  # the source is gone or changed: the caller says what is missing
            return False
