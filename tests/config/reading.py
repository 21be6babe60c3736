"""How tests read a configuration: from text, as if it stood in /app."""

from __future__ import annotations

from pathlib import Path

from mikoshi.config import Configuration, read
from mikoshi.config.model import Environment
from mikoshi.core.errors import ConfigInvalid

FILE = Path("/app/mikoshi.toml")


def configuration(text: str) -> Configuration:
    return read(text.encode(), FILE)


def production(text: str) -> Environment:
    """The environment `production` of an application whose other parts are not the test's business."""
    return configuration(text if text.startswith("app") else f'app = "shop"\n{text}').environment("production")


def problems_of(data: str | bytes) -> list[str]:
    try:
        read(data.encode() if isinstance(data, str) else data, FILE)
    except ConfigInvalid as error:
        return error.problems
    return []
