from __future__ import annotations

from mikoshi.cli.parser import verb


def add_to(verbs):
    verb(verbs, "tour", lambda a: 0, "tour")
