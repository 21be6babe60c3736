"""What was measured as Markdown: medians, ratios to rsync, what Mikoshi says of the wire."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from bench.contenders.mikoshi import Mikoshi
from bench.contenders.rsync import Rsync
from bench.memory import Peak
from bench.rounds import CASES, CHANGE, MOST_HOSTS, Results
from bench.startup import Start

BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"
PUSH, HANDOVER = "measured", "hand-over"  # the marks of each benchmark's place on the page
LABELS = {
    "mikoshi": "Mikoshi",
    "rsync": "`rsync -a --delete`",
    "rsync-connected": "rsync, connected before",
    "tar": "`tar \\| ssh`",
    "capistrano": "Capistrano",
}


def push(results: Results, names: Sequence[str], counts: Sequence[int]) -> str:
    """One table for each number of hosts, then CPU, then the wire."""
    parts = [_seconds(results, names, count) for count in counts]
    return "\n\n".join([*parts, _cpu(results, names, counts), _wire(results, counts)])


def _seconds(results: Results, names: Sequence[str], count: int) -> str:
    rows = []
    for name in names:
        cells = [_cell(results, name, count, case) for case in CASES]
        if any(cells) or count > MOST_HOSTS.get(name, count):
            rows.append([LABELS[name], *(cell or "left out" for cell in cells)])
    title = f"### {count} {'host' if count == 1 else 'hosts'}"
    return f"{title}\n\nSeconds, and how many times rsync's.\n\n{table(['', *CASES], rows)}"


def _cell(results: Results, name: str, count: int, case: str) -> str:
    seconds, base = results.seconds(name, count, case), results.seconds(Rsync.name, count, case)
    if seconds is None:
        return ""
    return f"{seconds:.2f} (×{seconds / base:.2f})" if base else f"{seconds:.2f}"


def _cpu(results: Results, names: Sequence[str], counts: Sequence[int]) -> str:
    rows = []
    for name in names:
        cells = []
        for count in counts:
            costs = results.costs.get((name, count, CHANGE))
            cells.append(f"{median(cost.cpu for cost in costs):.2f}" if costs else "left out")
        rows.append([LABELS[name], *cells])
    head = ["", *(_hosts(count) for count in counts)]
    title = "### CPU time of the deployer's side, one-file change"
    return f"{title}\n\nSeconds of all its processes; what the hosts spend is not in it.\n\n{table(head, rows)}"


def _wire(results: Results, counts: Sequence[int]) -> str:
    rows = []
    for count in counts:
        for case in CASES:
            wire, costs = results.wires.get((count, case)), results.costs.get((Mikoshi.name, count, case))
            if wire is None or not costs:
                continue
            per_host = f"{wire.round_trips / count:.1f}"
            memory = f"{max(cost.memory for cost in costs) / 1e6:.0f}"
            rows.append([_hosts(count), case, f"{wire.connects}", per_host, f"{wire.bytes_sent / count:,.0f}", memory])
    head = ["", "case", "connections", "round trips a host", "bytes sent a host", "peak memory, MB"]
    return f"### Mikoshi on the wire, and the deployer's memory\n\n{table(head, rows)}" if rows else ""


def startup(starts: Sequence[Start]) -> str:
    """The table of starts."""
    rows = [[start.command, f"{start.seconds * 1000:.0f}", f"{start.cpu * 1000:.0f}"] for start in starts]
    return f"### Start\n\n{table(['', 'milliseconds', 'of them CPU'], rows)}"


def large_files(peaks: Sequence[Peak]) -> str:
    """The table of memory with large files."""
    rows = [
        [peak.what, f"{peak.seconds:.1f}", f"{peak.deployer / 1e6:.0f}", f"{peak.engine / 1e6:.0f}", f"{peak.sent:,}"]
        for peak in peaks
    ]
    head = ["one host", "seconds", "deployer's peak, MB", "host engine's peak, MB", "bytes sent"]
    return f"### Large files\n\n{table(head, rows)}"


def page(parts: Sequence[str], command: str, how: str) -> str:
    """Everything, below what machine and which command made it, and `how`."""
    return "\n\n".join([f"`{command}` on {machine()}. {how}", *(part for part in parts if part)])


def machine() -> str:
    """The machine in a few words that name nobody."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    kernel = ".".join(platform.release().split(".")[:2])
    cores = os.cpu_count()
    return f"{cores} cores, {memory:.0f} GB, {platform.system()} {kernel}, Python {platform.python_version()}"


def write(path: Path, mark: str, text: str) -> None:
    """Put the text between the page's marks of this name. Raises ValueError if it has none."""
    begin, end = BEGIN.format(mark), END.format(mark)
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{path} lacks {begin} and {end}")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, numbers to the right."""
    lines = [list(head), ["---", *["---:"] * (len(head) - 1)], *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _hosts(count: int) -> str:
    return f"{count} {'host' if count == 1 else 'hosts'}"
