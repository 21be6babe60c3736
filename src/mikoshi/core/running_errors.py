"""Failures of commands on what runs: restart, stop, logs. A part of the tree in errors.py that no node raises.

UsageError       2  NothingRuns, ProcessUnknown
NotEverywhere  4-7  how a restart or stop ended that was not done on every node: wraps the causes
"""

from __future__ import annotations

from mikoshi.core.errors import MikoshiError, UsageError


class NothingRuns(UsageError):
    """No deployment runs on any of the `nodes`."""

    nodes: list[str]


class ProcessUnknown(UsageError):
    """The environment has no process of this name; `nearest` is what may have been meant, or ""."""

    name: str
    nearest: str
    known: list[str]


class NotEverywhere(MikoshiError):
    """How a restart or stop ended that was not done everywhere. `causes` keep their own types.

    `verb` is "restart" or "stop", `done` the nodes where it was done, `untouched` those where it was not begun because
    of the failure. `exit` is 4 (out of reach), 6 (what ran before goes on everywhere) or 7 (nodes need a person).
    """

    verb: str
    exit: int
    causes: list[MikoshiError]
    done: list[str]
    untouched: list[str]
