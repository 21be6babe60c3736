"""Who the engine is and whom it starts commands as."""

from __future__ import annotations

import os
from dataclasses import dataclass

from mikoshi.core.errors import RunAsImpossible
from mikoshi.node import machine
from mikoshi.node.machine import User


@dataclass(frozen=True)
class Identity:
    """The user the engine runs as, and the one that commands and processes get."""

    own: User
    commands: User

    @property
    def root(self) -> bool:
        """Whether the engine may act as anybody."""
        return self.own.uid == 0

    @property
    def changes_user(self) -> bool:
        """Whether commands run as somebody else than the engine."""
        return self.own.uid != self.commands.uid


def identify(run_as: str) -> Identity:
    """The identity for this `run_as` ("": the user who logged in). Raises RunAsImpossible."""
    own = machine.user_of(os.geteuid())
    if not run_as:
        return Identity(own, _login_user(own))
    wanted = machine.find_user(run_as)
    if wanted is None:
        raise RunAsImpossible(run_as, own.name, "there is no such user")
    if own.uid not in (0, wanted.uid):
        raise RunAsImpossible(run_as, own.name, "the engine runs neither as root nor with sudo")
    return Identity(own, wanted)


def _login_user(own: User) -> User:
    sudo = os.environ.get("SUDO_UID", "")
    return machine.user_of(int(sudo)) if own.uid == 0 and sudo.isdigit() else own
