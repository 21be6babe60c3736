"""The whole of mikoshi.toml."""

from __future__ import annotations

from mikoshi.config.schema import Leaf, Names, Table
from mikoshi.config.sections.environment import ENVIRONMENT
from mikoshi.config.sections.process import PROCESSES
from mikoshi.config.sections.release import RELEASE
from mikoshi.config.values.text import name

APP = Leaf(name)
DOCUMENT = Table(
    {
        "app": APP,
        "release": RELEASE,
        "process": PROCESSES,
        "defaults": ENVIRONMENT,
        "env": Names(name, ENVIRONMENT),
    }
)
