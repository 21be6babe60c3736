"""The levels of the configuration put over each other for one environment and for each of its hosts.

`[process.*]` → `[defaults]` → `[env.X]` → host. Environments never inherit from each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from mikoshi.config.document import Node
from mikoshi.config.merge import merged


@dataclass(frozen=True)
class HostLevel:
    """One entry of `hosts` and the processes as they are there."""

    item: Node
    processes: Node


@dataclass(frozen=True)
class Levels:
    """An environment's own section, everything merged, the processes merged, and its hosts.

    `declared` are the names of the processes that `[process.*]` has for all environments.
    """

    name: str
    section: Node
    settings: Node
    processes: Node
    declared: frozenset[str]
    hosts: tuple[HostLevel, ...]


def levels_of(document: Node, name: str, section: Node) -> Levels:
    """The merged levels of the environment that `section` is about; `document` was checked."""
    settings = merged(document.get("defaults"), section)
    processes = merged(document.get("process"), settings.get("process"))
    hosts = settings.get("hosts")
    own = document.get("process")
    return Levels(
        name=name,
        section=section,
        settings=settings,
        processes=processes,
        declared=frozenset(own.value if own else ()),
        hosts=tuple(
            HostLevel(item, merged(processes, item.get("process")))
            for item in (hosts.value if hosts else ())
            if not item.bad
        ),
    )
