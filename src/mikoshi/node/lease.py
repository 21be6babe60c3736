"""The lease file on this node: every change under one lock, atomically, with a token that only grows.

The rules are core.lease's. This module asks the kernel whether a holder lives, and ends one whose time is over.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

from mikoshi.core import lease as rules
from mikoshi.core.errors import Fenced, LeaseHeld, PathUnusable
from mikoshi.core.lease import EngineProcess, Instant, Lease
from mikoshi.core.messages import LeaseView
from mikoshi.node import machine
from mikoshi.node.files import Files


class Leases:
    """The lease of one environment, as this engine holds it or not. Safe to use from several threads."""

    def __init__(self, path: str, files: Files, now: Callable[[], Instant] = machine.now) -> None:
        self._path, self._files, self._now = path, files, now
        self._mutex = threading.Lock()
        self.token: int | None = None

    def read(self) -> Lease:
        """The lease as it stands; nobody's if there is none."""
        try:
            with open(self._path, "rb") as file:
                return rules.lease_from_bytes(file.read())
        except (FileNotFoundError, NotADirectoryError):
            return Lease()
        except rules.MalformedLease as error:
            raise PathUnusable(self._path, "it is not a lease any more; move it away if nobody deploys") from error

    def view(self) -> LeaseView | None:
        """What others are shown of it, None if nobody holds it."""
        lease = self.read()
        if not lease.holder:
            return None
        return rules.view(lease, self._now(), machine.is_gone(lease.engine))

    def acquire(self, holder: str, message: str, ttl: float) -> int:
        """Take it and return the fencing token; asking again while holding it renews. Raises LeaseHeld."""
        with self._locked():
            lease, now = self.read(), self._now()
            if self.token is not None and lease.token == self.token and lease.holder:
                self._write(rules.renewed(lease, now))
                return self.token
            self._dispossess(lease, now)
            taken = rules.taken(lease, holder, message, ttl, now, machine.this_process())
            self._write(taken)
            self.token = taken.token
            return taken.token

    def _dispossess(self, lease: Lease, now: Instant) -> None:
        if not lease.holder or machine.is_gone(lease.engine):
            return
        if rules.binds(lease, now, engine_gone=False):
            raise LeaseHeld(lease.holder, lease.message, rules.remaining(lease, now))
        if lease.boot_id == now.boot_id and not self._end(lease.engine):
            raise LeaseHeld(lease.holder, lease.message, 0.0)

    def _end(self, engine: EngineProcess) -> bool:
        if engine == machine.this_process():
            return True
        return machine.end(engine) or not engine.started or engine.namespace != machine.this_process().namespace

    def renew(self) -> None:
        """Extend it by its ttl from now. Raises Fenced."""
        with self._locked():
            self._write(rules.renewed(self._own(), self._now()))

    def release(self) -> None:
        """Give it back if it is still this engine's; otherwise nothing happens."""
        if self.token is None:
            return
        with self._locked():
            lease = self.read()
            if lease.token == self.token and lease.holder:
                self._write(rules.released(lease))
            self.token = None

    def check(self) -> None:
        """Raise Fenced unless this engine holds the lease. Called before every change."""
        self._own()

    def _own(self) -> Lease:
        lease = self.read()
        if self.token is None or lease.token != self.token or not lease.holder:
            raise Fenced(self.token or 0, lease.token)
        return lease

    def _write(self, lease: Lease) -> None:
        self._files.replace(self._path, rules.lease_to_bytes(lease))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        import fcntl

        with self._mutex:
            fd = os.open(self._path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                yield
            finally:
                os.close(fd)
