"""What the probe saw, as people read it: a row for each phase, and who answered when."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mikoshi.cli.output import counted, duration, paint, table
from mikoshi.cli.texts import failures
from mikoshi.core.events import AnsweredSpan, ProbeBegan, Probed, ProbedPhase

_COLUMNS = {
    "name": "PHASE", "requests": "REQUESTS", "failed": "FAILED", "p50": "P50", "p95": "P95", "p99": "P99", "max": "MAX",
    "notes": "",
}  # fmt: skip
# Seconds; between two deployments there is always the time between two requests.
_GAP = 0.5


def probe_began(event: ProbeBegan) -> str:
    """The line when it begins."""
    span = f" for {duration(event.seconds)}" if event.seconds else ""
    return f"  probing {event.url}, {_rate(event.rate)}{span}"


def probed(event: Probed) -> str:
    """The report: some lines."""
    heading = f"  probe of {event.url}, {_rate(event.rate)}:"
    rows = table([_row(phase) for phase in event.phases], _COLUMNS).splitlines()
    return "\n".join([heading, *(f"    {row}" for row in rows), f"    {_answered(event)}"])


def _rate(rate: float) -> str:
    return f"{rate:g} {'request' if rate == 1 else 'requests'} a second"


def _row(phase: ProbedPhase) -> dict[str, str]:
    answered = phase.max > 0
    times = {name: milliseconds(getattr(phase, name)) if answered else "-" for name in ("p50", "p95", "p99", "max")}
    failed = sum(phase.failed.values())
    return {
        "name": phase.name,
        "requests": f"{phase.requests:,}",
        "failed": paint(f"{failed:,}", "red") if failed else "0",
        "notes": _notes(phase),
        **times,
    }


def _notes(phase: ProbedPhase) -> str:
    """What stands behind a row: the kinds of failures, and what is neither good nor failed."""
    kept = f" ({phase.failed_kept:,} on a kept connection)" if phase.failed_kept else ""
    notes = [failures(phase.failed) + kept] if phase.failed else []
    if phase.client_errors:
        notes.append(f"{phase.client_errors:,} answered 4xx")
    if phase.early:
        notes.append(f"{phase.early:,} before the first good answer")
    if phase.not_sent:
        notes.append(f"{phase.not_sent:,} not sent: too many under way")
    if phase.open:
        notes.append(f"{counted(phase.open, 'request')} not answered yet")
    return ", ".join(notes)


def milliseconds(seconds: float) -> str:
    """A time of an answer: three figures at most."""
    value = seconds * 1000
    if value >= 9999.5:
        return f"{seconds:.0f} s"
    return f"{value:.0f} ms" if value >= 9.95 else f"{value:.1f} ms"


def _answered(event: Probed) -> str:
    if not event.spans:
        return f"which deployment answered is not known: no answer named one in {event.header}"
    return "answered by deployment " + _timeline(event.spans)


def _timeline(spans: Sequence[AnsweredSpan]) -> str:
    """ "7 until 16:02:03.1, 7 and 8 until 16:02:04.0, then 8"; local time. A gap in which nobody answered is shown."""
    words: list[str] = []
    for index, span in enumerate(spans):
        names = " and ".join(span.deployments)
        since = ""
        if index and span.begin - spans[index - 1].end >= _GAP:
            since = f" from {_clock(span.begin)}"
        if index == len(spans) - 1:
            words.append(f"then {names}{since}" if index else names)
        else:
            words.append(f"{names}{since} until {_clock(span.end)}")
    return ", ".join(words)


def _clock(at: float) -> str:
    tenths = int(at * 10)
    return time.strftime("%H:%M:%S", time.localtime(tenths // 10)) + f".{tenths % 10}"
