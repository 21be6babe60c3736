"""What verbs have in common: which environment, who is at work, and how an asynchronous command is run and stopped."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import signal
import socket
from collections.abc import Awaitable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mikoshi.config.configuration import Configuration, load
from mikoshi.config.model import Environment
from mikoshi.core.errors import EnvironmentNotChosen, HostNotInEnvironment, Interrupted

_Value = TypeVar("_Value")


def configuration(arguments: argparse.Namespace) -> Configuration:
    """The mikoshi.toml of the directory the command works in."""
    return load(Path(arguments.directory))


def environment(arguments: argparse.Namespace, verb: str) -> Environment:
    """The environment that was named, or $MIKOSHI_ENV, or the only one. Raises EnvironmentNotChosen, …Unknown."""
    found = configuration(arguments)
    name = arguments.env or os.environ.get("MIKOSHI_ENV", "")
    if not name:
        if len(found.environments) != 1:
            raise EnvironmentNotChosen(verb, list(found.environments))
        name = found.environments[0]
    return found.environment(name)


def chosen_hosts(chosen: Environment, only: Sequence[str]) -> tuple[str, ...]:
    """The hosts named by --only. Raises HostNotInEnvironment."""
    known = [host.name for host in chosen.hosts]
    for name in only:
        if name not in known:
            raise HostNotInEnvironment(name, known)
    return tuple(dict.fromkeys(only))


def who() -> str:
    """Who is at work, for leases and the audit trail: $MIKOSHI_BY, else user@machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return os.environ.get("MIKOSHI_BY") or f"{user}@{socket.gethostname()}"


def run(command: Coroutine[Any, Any, _Value], done: list[int] | None = None) -> _Value:
    """Run an asynchronous command; Ctrl-C, TERM and HUP stop it cleanly and become Interrupted.

    `done` gets the number of the deployment under way appended, once there is one.
    """
    try:
        return asyncio.run(_stoppable(command))
    except (KeyboardInterrupt, asyncio.CancelledError):
        where = f"in deployment {done[-1]}" if done else "before anything was changed"
        raise Interrupted(where) from None


async def _stoppable(command: Awaitable[_Value]) -> _Value:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(command)
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in stops:
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    finally:
        for number in stops:
            loop.remove_signal_handler(number)
