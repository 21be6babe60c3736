"""What every step of the engine works with, in one value: paths, files, journal, lease, and the way to report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Callable, Union

from mikoshi.core.errors import MikoshiError
from mikoshi.core.messages import Output, StepStarted
from mikoshi.node import machine, space
from mikoshi.node.deployments import Deployments
from mikoshi.node.files import Files
from mikoshi.node.fingerprints import Fingerprints
from mikoshi.node.identity import Identity
from mikoshi.node.journal import Journal
from mikoshi.node.lease import Leases
from mikoshi.node.paths import EnvironmentPaths
from mikoshi.node.runner.client import Runner
from mikoshi.node.steps import Step, StepBegun, StepEnded

Event = Union[Output, StepStarted]


class SessionEnded(Exception):
    """The deployer is gone; the step in progress has ended and no other is begun."""


@dataclass
class Workspace:
    """One environment on this node, as one session sees it. `ended` tells whether the deployer is gone."""

    paths: EnvironmentPaths
    files: Files
    identity: Identity
    leases: Leases
    journal: Journal
    deployments: Deployments
    emit: Callable[[Event], None]
    ended: Callable[[], bool]
    fingerprints: Fingerprints = field(default_factory=Fingerprints)
    _runner: Runner | None = None

    @property
    def runner(self) -> Runner:
        """The way to the process runner, whether there is one or not."""
        if self._runner is None:
            self._runner = Runner(self.paths.root, self.files)
        return self._runner

    def close(self) -> None:
        """Hang up on the runner."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def keep_fingerprints(self) -> None:
        """Save what was hashed for the next session. Only a convenience: a full disk is no failure of a deploy."""
        try:
            self.files.replace(self.paths.fingerprints, self.fingerprints.saved(), mode=0o600)
        except OSError:
            self.files.discard(self.paths.fingerprints)

    def check(self) -> None:
        """Raise unless another change may be made: Fenced without the lease, SessionEnded without a deployer."""
        if self.ended():
            raise SessionEnded
        self.leases.check()

    @contextmanager
    def step(self, step: Step, seq: int) -> Iterator[None]:
        """Journal the begin and the end of a step. What it fails with is named in the journal and passes through.

        An error of the system becomes one of the tree, so that a caller who goes back on failure goes back on all.
        """
        self.leases.check()
        try:
            self.journal.add(StepBegun(seq, step))
            self.emit(StepStarted(step.value))
            yield
        except MikoshiError as error:
            self._failed(seq, step, error)
            raise
        except OSError as error:
            failure = space.from_system(error, self.paths.root)
            self._failed(seq, step, failure)
            raise failure from error
        self.journal.add(StepEnded(seq, step, machine.boot_id()))

    def _failed(self, seq: int, step: Step, error: MikoshiError) -> None:
        error.on(step=step.value)
        self.journal.add(StepEnded(seq, step, machine.boot_id(), type(error).__name__))
