"""Where the details of an unforeseen error go: a file that a person can send in, without environment variables."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path

from mikoshi import __version__


def write_report(error: Exception) -> Path:
    """Write the trace of `error` below $XDG_STATE_HOME/mikoshi (or a temporary file); returns the file."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    directory = Path(state) / "mikoshi"
    lines = [f"mikoshi {__version__}, Python {sys.version}\n", *traceback.format_exception(error)]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix="crash-", suffix=".txt", dir=directory)
    except OSError:
        handle, name = tempfile.mkstemp(prefix="mikoshi-crash-", suffix=".txt")
    with os.fdopen(handle, "w") as file:
        file.writelines(lines)
    return Path(name)
