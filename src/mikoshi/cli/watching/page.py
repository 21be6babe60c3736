"""One screenful: rows as lines that fit the terminal, each with a style. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mikoshi.cli.output import counted, size, width
from mikoshi.cli.processes import how_long
from mikoshi.cli.watching.rows import LEAVING, NEW, PLAIN, TRIAL, TROUBLE, Row, ordered

HEADINGS = ("NODE", "PROCESS", "RUNS", "PID", "UP", "CPU%", "MEMORY", "RESTARTS", "STATE")
_LEFT = {"NODE", "PROCESS", "STATE"}
# Columns whose texts change all the time do not jump.
_NARROWEST = {"PID": 5, "UP": 4, "CPU%": 5, "MEMORY": 7}
_SORTED = {"name": "NODE", "cpu": "CPU%", "memory": "MEMORY"}
_STYLES = {PLAIN: "", NEW: "green", LEAVING: "yellow", TRIAL: "cyan", TROUBLE: "red"}
_KEYS = "q quit  c cpu  m memory  n name  ↑↓ scroll"
_SHORTEST_NODE = 8


@dataclass(frozen=True)
class Look:
    """How the rows are looked at: by which order, from which row on."""

    by: str = "name"
    offset: int = 0
    ended: bool = False

    def after(self, key: str, rows: int, height: int) -> Look:
        """The look after a key was pressed, with so many rows in so many lines."""
        step = {
            "up": -1,
            "k": -1,
            "down": 1,
            "j": 1,
            "page up": -height,
            "page down": height,
            "home": -rows,
            "end": rows,
        }
        if key == "q":
            return replace(self, ended=True)
        if key in step:
            return replace(self, offset=max(0, min(self.offset + step[key], rows - height)))
        by = {"c": "cpu", "m": "memory", "n": "name"}.get(key)
        return replace(self, by=by, offset=0) if by else self


@dataclass(frozen=True)
class Styled:
    """A line and its style, as rich names it."""

    text: str
    style: str = ""


def room(lines: int) -> int:
    """How many rows a terminal of so many lines shows."""
    return max(1, lines - 3)


def page(title: str, clock: str, rows: Sequence[Row], look: Look, columns: int, lines: int) -> list[Styled]:
    """The screen's lines; not more than there are."""
    height = room(lines)
    offset = max(0, min(look.offset, len(rows) - height))
    shown = ordered(rows, look.by)[offset : offset + height]
    table = cells(shown)
    marked = [f"{name}▼" if name == _SORTED[look.by] and look.by != "name" else name for name in HEADINGS]
    widths = _widths([marked, *table], columns)
    head = f"{title}  {_sum(rows)}"
    body = [Styled(fit(_line(row, widths), columns), _STYLES[one.tone]) for row, one in zip(table, shown, strict=True)]
    below = len(rows) - offset - len(shown)
    more = f"   {below} more below" if below else ""
    return [
        Styled(fit(head + " " * max(2, columns - width(head) - width(clock)) + clock, columns), "bold"),
        Styled(fit(_line(marked, widths).ljust(columns), columns), "reverse"),
        *body,
        *[Styled("")] * (height - len(body)),
        Styled(fit(_KEYS + more, columns), "dim"),
    ][:lines]


def plain_table(rows: Sequence[Row], by: str = "name") -> str:
    """All rows as text, for a file or a pipe."""
    table = [list(HEADINGS), *cells(ordered(rows, by))]
    widths = _widths(table, 0)
    return "\n".join(_line(row, widths) for row in table)


def cells(rows: Sequence[Row]) -> list[list[str]]:
    """The rows' texts, column by column."""
    found = []
    for row in rows:
        view, there = row.view, row.view is not None and row.view.pid
        found.append([
            row.node,
            view.name if view else "",
            str(view.seq) if view else "",
            str(view.pid) if view and there else "",
            how_long(view.up) if view and there else "",
            "" if row.cpu is None else f"{row.cpu:.1f}",
            size(view.memory) if view and there else "",
            str(view.ends) if view else "",
            row.state,
        ])  # fmt: skip
    return found


def _sum(rows: Sequence[Row]) -> str:
    views = [row.view for row in rows if row.view is not None and row.view.pid]
    used = sum(row.cpu or 0.0 for row in rows)
    there = counted(len(views), "process", "processes")
    return f"{there}, {used:.1f} % of a core, {size(sum(view.memory for view in views))}"


def _widths(table: Sequence[Sequence[str]], columns: int) -> list[int]:
    """The columns' widths. Where the line is too long the node's name gives way (`columns` 0: no limit)."""
    widths = [
        max(_NARROWEST.get(name, 0), *(width(row[index]) for row in table)) for index, name in enumerate(HEADINGS)
    ]
    excess = sum(widths[:-1]) + 2 * (len(widths) - 1) + len("stopping") - columns
    if columns and excess > 0:
        widths[0] = max(_SHORTEST_NODE, widths[0] - excess)
    return widths


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    if not any(row[1:-1]):  # what is said of a node has the whole line
        return fit(row[0], widths[0]).ljust(widths[0]) + "  " + row[-1]
    parts = []
    for name, text, wide in zip(HEADINGS, row, widths, strict=True):
        text = fit(text, wide) if name == "NODE" else text
        gap = " " * max(0, wide - width(text))
        parts.append(text + gap if name in _LEFT else gap + text)
    return "  ".join(parts).rstrip()


def fit(text: str, columns: int) -> str:
    """The text, cut with "…" where it is wider than this."""
    if width(text) <= columns:
        return text
    cut = ""
    for char in text:
        if width(cut + char) > columns - 1:
            break
        cut += char
    return cut + "…" if columns > 0 else ""
