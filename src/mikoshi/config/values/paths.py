"""Paths: inside the application's tree, on a node, and on the machine that deploys."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from mikoshi.config.problems import Unexpected

_CONTROL = re.compile(r"[\0-\x1f\x7f]")


def inside_tree(value: object) -> str:
    """A relative path that stays in the tree; a "/" at its end, which says directory, is kept."""
    expected = 'a path inside the application, like "media/"'
    if not isinstance(value, str) or not value or _CONTROL.search(value):
        raise Unexpected(expected)
    parts = PurePosixPath(value).parts
    if parts and parts[0].startswith(("/", "~")):
        raise Unexpected(expected, "it is relative to mikoshi.toml")
    if ".." in parts:
        raise Unexpected(expected, 'it may not lead out of it with ".."')
    if not parts:
        raise Unexpected(expected, "the application itself is not meant")
    return "/".join(parts) + ("/" if value.endswith("/") else "")


def on_node(value: object) -> str:
    """A directory on a node: absolute, or below the home directory of who logs in."""
    if (
        isinstance(value, str)
        and (value.startswith("~/") or (value.startswith("/") and PurePosixPath(value).parts[1:]))
        and not _CONTROL.search(value)
        and ".." not in PurePosixPath(value).parts
    ):
        return value.rstrip("/")
    raise Unexpected('a directory on the host like "/srv/mikoshi" or "~/mikoshi"')


def here(value: object) -> Path:
    """A file on the machine that deploys; `~` is its user's home, a relative path is taken from mikoshi.toml."""
    if isinstance(value, str) and value and not _CONTROL.search(value):
        try:
            return Path(value).expanduser()
        except RuntimeError as error:
            raise Unexpected("the path of a file", "there is no such user here") from error
    raise Unexpected("the path of a file")
