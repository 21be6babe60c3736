"""`ssh`: how hosts are reached."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mikoshi.config.model import SshConfig
from mikoshi.config.schema import Leaf, Names, Table
from mikoshi.config.values.addresses import host
from mikoshi.config.values.durations import time_limit
from mikoshi.config.values.numbers import count
from mikoshi.config.values.paths import here
from mikoshi.config.values.text import choice, host_key

SSH = Table(
    {
        "client": Leaf(choice("asyncssh", "openssh"), "asyncssh"),
        "config": Leaf(here),
        "connect": Leaf(time_limit, "10s"),
        "keepalive": Leaf(time_limit, "15s"),
        "connections": Leaf(count(1, 1000), 100),
    },
    short="client",
)
HOST_KEY = Leaf(host_key)
HOST_KEYS = Names(host, HOST_KEY)


def ssh_of(table: Mapping[str, Any], root: Path) -> SshConfig:
    """How hosts are reached, from the merged table; relative paths are taken from `root`."""
    config = table.get("config")
    return SshConfig(
        client=table["client"],
        config=None if config is None else root / config,
        connect=table["connect"],
        keepalive=table["keepalive"],
        connections=table["connections"],
    )
