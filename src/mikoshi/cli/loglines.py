"""A line of a log as it is shown: on a terminal, in a file, as JSON."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence

from mikoshi.cli.output import is_terminal, paint, print_json
from mikoshi.engine.loglines import Line

_HOST_COLOURS = ("cyan", "magenta", "green", "yellow", "blue")
# Control characters that a terminal would obey; colours (SGR) and tabs may stay.
_OBEYED = re.compile(r"(?!\x1b\[[0-9;]*m)[\x00-\x08\x0a-\x1f\x7f\x80-\x9f]")


def printer(nodes: Sequence[str], *, as_json: bool) -> Callable[[Line], None]:
    """How to print a line."""
    if as_json:
        return lambda line: print_json(as_data(line))
    width = max(map(len, nodes), default=0)
    if not is_terminal(sys.stdout):
        return lambda line: print(plain(line, width))
    colours = {node: _HOST_COLOURS[index % len(_HOST_COLOURS)] for index, node in enumerate(nodes)}
    origins = 0

    def show(line: Line) -> None:
        nonlocal origins
        origins = max(origins, len(line.origin))
        host = paint(line.node.ljust(width), colours.get(line.node, "bold"))
        print(f"{host}  {moment(line.at, time.time())}  {line.origin.ljust(origins)}  {harmless(line.text)}")

    return show


def as_data(line: Line) -> dict[str, object]:
    """A line as JSON-able data."""
    return {
        "node": line.node, "at": round(line.at, 3), "process": line.process, "number": line.number,
        "deployment": line.seq, "trial": line.trial, "line": line.text,
    }  # fmt: skip


def plain(line: Line, width: int) -> str:
    """A line as it stands in files: the time as on the node, UTC."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(line.at))
    return f"{line.node.ljust(width)} {whole}.{round(line.at * 1000) % 1000:03d}Z {line.origin} {line.text}"


def moment(at: float, now: float) -> str:
    """A time of day here, with its date if that is not today's."""
    then, today = time.localtime(at), time.localtime(now)
    date = "" if then[:3] == today[:3] else time.strftime("%Y-%m-%d ", then)
    return date + time.strftime("%H:%M:%S", then) + f".{round(at * 1000) % 1000:03d}"


def harmless(text: str) -> str:
    """The text without what would move the cursor or change the terminal; colours end with the line."""
    cleaned = _OBEYED.sub("", text)
    return cleaned + "\x1b[0m" if "\x1b" in cleaned else cleaned
