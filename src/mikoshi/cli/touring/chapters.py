"""The tour's table of contents: each style's chapter, and what a machine must have for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mikoshi.cli.touring import push
from mikoshi.cli.touring.ground import Ground
from mikoshi.cli.touring.lack import Lack


@dataclass(frozen=True)
class Chapter:
    """One part of the tour. `tell` gets a ground without servers and raises Astray if something went wrong."""

    title: str
    tell: Callable[[Ground], None]
    lacks: Callable[[], list[Lack]] = list


CHAPTERS: tuple[Chapter, ...] = (Chapter("Push: to servers, all or none", push.tell, push.lacks),)
