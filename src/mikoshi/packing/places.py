"""Where Mikoshi keeps what it makes on the deployer's machine.

Releases are data; everything that can be made again is cache. Directories follow the XDG base directory
specification. Nothing is created here.
"""

from __future__ import annotations

import os
from pathlib import Path


def data_directory() -> Path:
    """`$XDG_DATA_HOME/mikoshi`: the kept releases."""
    return _base("XDG_DATA_HOME", ".local/share")


def cache_directory() -> Path:
    """`$XDG_CACHE_HOME/mikoshi`: digests of unchanged files, build outputs, build trees."""
    return _base("XDG_CACHE_HOME", ".cache")


def _base(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    # The specification has relative paths ignored.
    base = Path(value) if os.path.isabs(value) else Path.home() / default
    return base / "mikoshi"
