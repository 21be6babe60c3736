"""Keeps secrets out of what leaves the node: lines that commands print are shown with `[NAME]` in a secret's place.

Log files are the application's own and stay as written, for root and the application's user to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from mikoshi.node import environment
from mikoshi.node.deployments import Stored
from mikoshi.node.workspace import Workspace

# A shorter value stands in too many innocent words to be replaced everywhere.
SHORTEST = 4


@dataclass(frozen=True)
class Redaction:
    """What is to be hidden: (value, name), the longest values first so that one inside another leaves nothing."""

    hidden: tuple[tuple[str, str], ...] = ()

    def __call__(self, line: str) -> str:
        """The line with every secret replaced by its name."""
        for value, name in self.hidden:
            line = line.replace(value, f"[{name}]")
        return line


def redaction(secrets: Mapping[str, str]) -> Redaction:
    """Hide these values (name → value); of one with several lines, each line."""
    pieces = {piece: name for name, value in secrets.items() for piece in _pieces(value)}
    return _longest_first(pieces.items())


def of_deployment(work: Workspace, stored: Stored) -> Redaction:
    """Hide the secrets of a deployment, as its env file has them."""
    names = stored.settings.secrets
    if not names:
        return Redaction()
    values = environment.read(work, stored.seq)
    return redaction({name: values[name] for name in names if name in values})


def of_all(work: Workspace) -> Redaction:
    """Hide the secrets of every complete deployment that stands here."""
    hidden: set[tuple[str, str]] = set()
    for stored in work.deployments.stored():
        if stored.staged:
            with suppress(FileNotFoundError):  # it was pruned just now
                hidden.update(of_deployment(work, stored).hidden)
    return _longest_first(hidden)


def _longest_first(hidden: Iterable[tuple[str, str]]) -> Redaction:
    return Redaction(tuple(sorted(hidden, key=lambda item: (-len(item[0]), item))))


def _pieces(value: str) -> Iterable[str]:
    return (piece for piece in (value, *value.splitlines()) if len(piece.strip()) >= SHORTEST)
