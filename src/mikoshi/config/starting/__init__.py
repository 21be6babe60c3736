"""The first mikoshi.toml of an application: what it seems to be, and the file that says so.

Nothing is written here; `mikoshi init` does that.
"""

from __future__ import annotations

from mikoshi.config.starting.detect import Found, detect
from mikoshi.config.starting.first_file import app_name, first_file, with_ignored
from mikoshi.config.starting.listing import Listing, directory_listing

__all__ = ["Found", "Listing", "app_name", "detect", "directory_listing", "first_file", "with_ignored"]
