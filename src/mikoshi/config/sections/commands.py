"""Commands with a time limit: hooks and `restart`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mikoshi.config.model import Command
from mikoshi.config.schema import Later, Leaf, Table
from mikoshi.config.values.durations import time_limit
from mikoshi.config.values.text import command

COMMAND = Table({"run": Leaf(command), "within": Leaf(time_limit, "5m")}, short="run", optional=True)
HOOKS = Table(
    {
        "before_activate": COMMAND,
        "after_activate": COMMAND,
        "before_rollout": Later(),
        "after_rollout": Later(),
    }
)


def command_of(table: Mapping[str, Any]) -> Command:
    """A command from its merged table."""
    return Command(run=table["run"], within=table["within"])


def hooks_of(table: Mapping[str, Any]) -> dict[str, Command]:
    """The hooks that are set, by name."""
    return {name: command_of(hook) for name, hook in table.items()}
