"""`[process.NAME]`: what runs, where it listens and how it shows that it is healthy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mikoshi.config.model import Health, Process
from mikoshi.config.schema import Later, Leaf, Names, Table
from mikoshi.config.values.addresses import listen
from mikoshi.config.values.durations import time_limit
from mikoshi.config.values.text import command, name, url_path

HEALTH = Table({"path": Leaf(url_path, "/"), "within": Leaf(time_limit, "30s")})
PROCESS = Table(
    {
        "command": Leaf(command),
        "listen": Leaf(listen),
        "health": HEALTH,
        "instances": Later(),
        "stop": Later(),
        "replace": Later(),
        "limits": Later(),
    }
)
PROCESSES = Names(name, PROCESS)


def process_of(name: str, table: Mapping[str, Any], explicit: bool) -> Process:
    """A process from its merged table; `explicit`: the health check's path was written."""
    health = table["health"]
    return Process(
        name=name,
        command=table.get("command", ""),
        listen=table.get("listen", ""),
        health=Health(path=health["path"], within=health["within"], explicit=explicit),
    )
