"""What the command line prints: plain lines, JSON, and live progress on a terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from mikoshi.core.errors import MikoshiError, to_wire

if TYPE_CHECKING:
    from mikoshi.cli.explain import Explanation
    from mikoshi.core.events import Event

Emit = Callable[["Event"], None]
_UNITS = ("B", "KB", "MB", "GB", "TB")
_COLOURS = {
    "red": "31", "green": "32", "yellow": "33", "blue": "34", "magenta": "35", "cyan": "36", "dim": "2", "bold": "1",
}  # fmt: skip


def size(count: float) -> str:
    """Bytes for people, in powers of 1000."""
    unit = 0
    while count >= 999.5 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 or count >= 100 else f"{count:.1f} {_UNITS[unit]}"


def counted(number: int, noun: str, several: str = "") -> str:
    """A number with its noun: "1 file", "2 files"; `several` is a plural that is not made by an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {several or noun + 's'}"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


def local_time(at: float) -> str:
    """A moment in this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def is_terminal(stream: TextIO) -> bool:
    """Whether live, coloured output is wanted on `stream`: never in CI, nor with NO_COLOR or a dumb terminal."""
    if os.environ.get("CI") or os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """`text` in a colour where the terminal shows it."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if is_terminal(stream or sys.stdout) else text


def print_json(value: object) -> None:
    """One JSON document on one line."""
    print(json.dumps(value, ensure_ascii=False, sort_keys=True))


def print_json_error(error: MikoshiError) -> None:
    """An error as the last JSON line of a command."""
    from mikoshi.cli.explain import exit_code

    wire = to_wire(error)
    if causes := wire["facts"].get("causes"):
        wire["facts"] = {**wire["facts"], "causes": [to_wire(cause) for cause in causes]}
    print_json({"v": 1, "event": "error", "at": round(time.time(), 3), "error": wire, "exit": exit_code(error)})


def error_text(explained: Explanation) -> str:
    """An error for standard error."""
    lines = [paint("mikoshi: ", "red", sys.stderr) + explained.what]
    lines.extend(f"  {line}" for line in explained.details)
    if explained.next:
        lines.append(f"  {explained.next}")
    return "\n".join(lines) + "\n"


def table(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str]) -> str:
    """Rows below their headings, columns aligned; `columns` maps keys to headings."""
    cells = [[str(row.get(key, "")) for key in columns] for row in rows]
    lines = [list(columns.values()), *cells]
    widths = [max(width(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell + " " * (wide - width(cell)) for cell, wide in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def width(text: str) -> int:
    """Columns on a terminal: wide characters take two."""
    import unicodedata

    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
