"""`[[release.build]]`: from packed sources to packed sources and outputs.

Steps run in order in one clean copy of exactly what the release holds so far, never in the user's tree. Of what they
leave only their `outputs` are taken. A step whose `inputs` are unchanged does not run: its outputs are taken from the
cache. See docs/decisions/0013-build-steps.md.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mikoshi.config.model import BuildStep
from mikoshi.core.errors import BuildInputMissing, BuildOutputMissing, BuildStepFailed
from mikoshi.packing.buildcache import BuildCache, InputMissing, inputs_of, key_of
from mikoshi.packing.builder import Builder, OutputMissing, Workspace
from mikoshi.packing.hashing import Hashed
from mikoshi.packing.progress import BuildLine, BuildSkipped, BuildStarted, Listener

_LAST_LINES = 20


@dataclass(frozen=True)
class Build:
    """How the steps of one pack are run. `variables` are added to each step's environment."""

    builder: Builder
    cache: BuildCache
    variables: Mapping[str, str]
    listener: Listener

    def run(self, steps: Sequence[BuildStep], sources: Hashed) -> Hashed:
        """The sources with every step's outputs put in their place.

        Raises BuildStepFailed, BuildInputMissing, BuildOutputMissing, Interrupted, and what packing outputs raises.
        """
        packed = sources
        with contextlib.ExitStack() as stack:
            workspace: Workspace | None = None
            for step in steps:
                outputs, key = self._kept_outputs(step, packed)
                if outputs is not None:
                    self.listener(BuildSkipped(step.run))
                    if workspace is not None:
                        workspace.clear(_topmost(step.outputs))
                        workspace.put(outputs.entries)
                else:
                    if workspace is None:
                        workspace = stack.enter_context(self.builder.workspace())
                        workspace.put(packed.entries)
                    outputs = self._built(step, workspace)
                    if key:
                        self.cache.put(key, outputs)
                packed = _with_outputs(packed, step.outputs, outputs)
        return packed

    def _kept_outputs(self, step: BuildStep, packed: Hashed) -> tuple[Hashed | None, str]:
        """The outputs if the step need not run, and the key to keep them under ("": it always runs)."""
        if not step.inputs:
            return None, ""
        try:
            inputs = inputs_of(step, packed.entries)
        except InputMissing as error:
            raise BuildInputMissing(step.run, str(error)) from error
        key = key_of(step, self.builder.platform, self.variables, inputs)
        return self.cache.get(key), key

    def _built(self, step: BuildStep, workspace: Workspace) -> Hashed:
        self.listener(BuildStarted(step.run, self.builder.where))
        last = deque[str](maxlen=_LAST_LINES)

        def heard(line: str) -> None:
            if line.strip():
                last.append(line)
            self.listener(BuildLine(line))

        status = workspace.run(step.run, self.variables, heard)
        if status != 0:
            raise BuildStepFailed(step.run, status, list(last))
        try:
            return workspace.take(_topmost(step.outputs))
        except OutputMissing as error:
            raise BuildOutputMissing(step.run, str(error)) from error


def _topmost(paths: Iterable[str]) -> list[str]:
    """The paths in plain form, without those that lie below another one."""
    plain = {path.removeprefix("./").strip("/") for path in paths}
    return sorted(path for path in plain if not any(other != path and _holds(other, path) for other in plain))


def _holds(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def _with_outputs(packed: Hashed, paths: Sequence[str], outputs: Hashed) -> Hashed:
    """What is packed with everything at or below `paths` replaced by `outputs`."""
    tops = _topmost(paths)
    taken = {entry.path for entry in outputs.entries}
    # A directory that was empty has something in it now, and stops being an entry of its own.
    filled = {path[:end] for path in taken for end in range(len(path)) if path[end] == "/"}
    kept = [e for e in packed.entries if not any(_holds(top, e.path) for top in tops) and e.path not in filled]
    platforms = {path: own for path, own in packed.platforms.items() if not any(_holds(top, path) for top in tops)}
    return Hashed(
        entries=kept + outputs.entries,
        platforms={**platforms, **outputs.platforms},
        read_files=packed.read_files + outputs.read_files,
        read_bytes=packed.read_bytes + outputs.read_bytes,
    )
