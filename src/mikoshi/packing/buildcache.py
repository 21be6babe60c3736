"""Outputs of build steps by a key made of all that they were made from. A lost or damaged one is built again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from mikoshi.config.model import BuildStep
from mikoshi.core.deployment import canonical_json
from mikoshi.core.release import FILE, Entry
from mikoshi.packing.hashing import Hashed
from mikoshi.packing.ignore import rules
from mikoshi.packing.objects import Objects

KEEP = 100


class InputMissing(Exception):
    """No entry fits the input that is this exception's only argument."""


def inputs_of(step: BuildStep, entries: Sequence[Entry]) -> list[Entry]:
    """The entries that the step's inputs name: gitignore patterns, seen from the root. Raises InputMissing.

    A pattern that names nothing is an error: a misspelt one would never let the step run again.
    """
    found: dict[str, Entry] = {}
    for pattern in step.inputs:
        rule = rules(["/" + pattern.removeprefix("./").removeprefix("/")])
        named = [entry for entry in entries if rule and any(rule.verdict(*part) for part in _ways(entry))]
        if not named:
            raise InputMissing(pattern)
        found.update((entry.path, entry) for entry in named)
    return [found[path] for path in sorted(found)]


def key_of(step: BuildStep, platform: str, variables: Mapping[str, str], inputs: Sequence[Entry]) -> str:
    """The key of a step's outputs: equal for equal step, platform, variables and inputs."""
    rows = [[entry.kind, entry.path, entry.mode, entry.digest, entry.target] for entry in inputs]
    made_from = [1, step.run, list(step.outputs), platform, dict(variables), rows]
    return hashlib.sha256(canonical_json(made_from)).hexdigest()


class BuildCache:
    """Outputs below one directory; their content is kept as objects."""

    def __init__(self, directory: Path, objects: Objects) -> None:
        self._directory = directory
        self._objects = objects

    def get(self, key: str) -> Hashed | None:
        """The outputs kept under `key`, if all of their content is still here."""
        file = self._directory / key
        try:
            data = json.loads(file.read_bytes())
            entries = [Entry(*row) for row in data["entries"]]
            platforms = dict(data["platforms"])
        except (OSError, ValueError, KeyError, TypeError):  # absent or damaged: the step runs again
            return None
        if any(entry.kind == FILE and not self._objects.path(entry.digest).exists() for entry in entries):
            return None
        with contextlib.suppress(OSError):  # only the order of forgetting depends on it
            os.utime(file)
        return Hashed(entries=entries, platforms=platforms)

    def put(self, key: str, outputs: Hashed) -> None:
        """Keep outputs, and forget those that were not used for the longest time."""
        rows = [[e.kind, e.path, e.mode, e.size, e.digest, e.target] for e in outputs.entries]
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=self._directory, delete=False) as new:
            new.write(canonical_json({"entries": rows, "platforms": outputs.platforms}))
        os.replace(new.name, self._directory / key)
        by_age = sorted(self._directory.iterdir(), key=lambda file: file.stat().st_mtime_ns, reverse=True)
        for file in by_age[KEEP:]:
            file.unlink(missing_ok=True)


def _ways(entry: Entry) -> list[tuple[str, bool]]:
    """The entry's path and those of all directories above it, with whether each is a directory."""
    parts = entry.path.split("/")
    above = [("/".join(parts[:depth]), True) for depth in range(1, len(parts))]
    return [(entry.path, entry.kind not in (FILE, "link")), *above]
