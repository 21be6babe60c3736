"""`[process.NAME]`: what runs, where it listens and how it shows that it is healthy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mikoshi.config.model import Health, Limits, Process, Stop
from mikoshi.config.schema import Leaf, Names, Table
from mikoshi.config.values.addresses import listen
from mikoshi.config.values.durations import time_limit
from mikoshi.config.values.numbers import byte_size, cores, count
from mikoshi.config.values.processes import replace_order, signal_name
from mikoshi.config.values.text import command, name, url_path

HEALTH = Table({"path": Leaf(url_path, "/"), "within": Leaf(time_limit, "30s")})
STOP = Table({"signal": Leaf(signal_name, "TERM"), "within": Leaf(time_limit, "30s")})
LIMITS = Table({"memory": Leaf(byte_size), "cpu": Leaf(cores), "files": Leaf(count(16, 10_000_000))})
PROCESS = Table(
    {
        "command": Leaf(command),
        "listen": Leaf(listen),
        "health": HEALTH,
        "instances": Leaf(count(1, 1000), 1),
        "stop": STOP,
        "replace": Leaf(replace_order),
        "limits": LIMITS,
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
        instances=table["instances"],
        stop=Stop(signal=table["stop"]["signal"], within=table["stop"]["within"]),
        replace=table.get("replace", ""),
        limits=Limits(**table["limits"]),
    )
