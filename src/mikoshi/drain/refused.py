"""The one failure of this room."""

from __future__ import annotations


class Refused(Exception):
    """A server cannot be started as asked. Its text is one line for whoever reads the process's log."""
