"""The env file of a deployment: lines NAME="value" that `sh`, systemd's EnvironmentFile and this module read alike.

It is the only file that ever holds a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mikoshi.core.errors import ProtocolMismatch

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_LINE = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\$`]|\\["\\$`])*)"\n')
_ESCAPED = re.compile(r'(["\\$`])')
_UNESCAPED = re.compile(r'\\(["\\$`])')


def encode(values: Mapping[str, str]) -> bytes:
    """The env file with these values; a newline stands literally inside the quotes.

    Raises ProtocolMismatch for a name that is none in the shell and for a value that no process could be given.
    """
    lines = []
    for name, value in values.items():
        if not _NAME.match(name):
            raise ProtocolMismatch(f"{name!r} cannot be the name of an environment variable")
        if "\0" in value:
            raise ProtocolMismatch(f"the value of {name} has a NUL in it")
        lines.append(f'{name}="{_ESCAPED.sub(_backslash, value)}"\n')
    return "".join(lines).encode(errors="surrogateescape")


def _backslash(found: re.Match[str]) -> str:
    return "\\" + found.group(1)


def decode(data: bytes) -> dict[str, str]:
    """The inverse of `encode`; raises ValueError for anything that it does not write."""
    text, at, values = data.decode(errors="surrogateescape"), 0, {}
    while at < len(text):
        found = _LINE.match(text, at)
        if found is None:
            raise ValueError(f"not a line of an env file, at character {at}")
        values[found.group(1)] = _UNESCAPED.sub(r"\1", found.group(2))
        at = found.end()
    return values
