"""Chunks of a packed release, also where the kept object turns out damaged: then the source is read again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mikoshi.core.errors import ContentMissing, PackingError
from mikoshi.core.transfer import Place
from mikoshi.packing.library import Library


@dataclass(frozen=True)
class ReleaseReader:
    """Reads chunks of one release. `origins` are digest → (path in the release, file it was read from)."""

    library: Library
    release: str
    origins: Mapping[str, tuple[str, Path]] = field(default_factory=dict)

    def read(self, place: Place) -> bytes:
        """The chunk's bytes, verified. Raises ContentMissing if neither library nor source has them any more."""
        try:
            return self.library.read(place)
        except ContentMissing:
            path, file = self.origins.get(place.file, (place.file, None))
            if file is None or not self._restored(place.file, path, file):
                raise ContentMissing(self.release, [path]) from None
        return self.library.read(place)

    def _restored(self, digest: str, path: str, file: Path) -> bool:
        try:
            return self.library.objects.add_file(path, os.fsencode(file)).digest == digest
        except PackingError:  # the source is gone or changed: the caller says what is missing
            return False
