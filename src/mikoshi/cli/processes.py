"""Processes as people see them: how long one has been up, what became of it. For status and top. Pure."""

from __future__ import annotations

from mikoshi.cli.explain import how_it_ended
from mikoshi.core.messages import ProcessView

# A process is new for so long, in seconds.
STANDING = 10.0
# A process that ended by itself and was started again is in trouble until it has stood for so long, in seconds.
_STANDS = 60.0


def how_long(seconds: float) -> str:
    """A time that goes on, in at most four columns: "9s", "59m", "23h", "400d"."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def trouble(view: ProcessView) -> str:
    """Why a process does not stay, "" if it does: "ended with status 3, 5 times"."""
    if not view.ends or (view.pid and view.up >= _STANDS):
        return ""
    if view.last_status is None:
        what = f"cannot be started: {view.reason}" if view.reason else "ended"
    else:
        what = how_it_ended(view.last_status)
    return what if view.ends == 1 else f"{what}, {view.ends} times"


def state(view: ProcessView) -> str:
    """The state in a word; processes that serve until their successors do are "leaving"."""
    return "leaving" if view.state == "running" and not view.wanted else view.state


def whole_state(view: ProcessView) -> str:
    """The state with what is wrong: "waiting; ended with status 3, 5 times"."""
    return "; ".join(word for word in (state(view), trouble(view)) if word)
