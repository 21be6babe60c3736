"""The environment that a command begins with: nothing of the engine's own session is in it."""

from __future__ import annotations

from collections.abc import Mapping

from mikoshi.node.machine import User

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def for_command(values: Mapping[str, str], user: User) -> dict[str, str]:
    """The whole environment of a command: nothing of the engine's own session is in it."""
    base = {
        "PATH": PATH,
        "HOME": user.home,
        "USER": user.name,
        "LOGNAME": user.name,
        "LANG": "C.UTF-8",
        "SHELL": "/bin/sh",
    }
    return {**base, **values}
