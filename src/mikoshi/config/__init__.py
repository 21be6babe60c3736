"""From the text of mikoshi.toml to typed values, with all problems reported at once.

Never touches a server.
"""

from __future__ import annotations

from mikoshi.config.configuration import Configuration, find, load, read

__all__ = ["Configuration", "find", "load", "read"]
