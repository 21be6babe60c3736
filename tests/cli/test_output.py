"""Numbers, tables and events as people see them."""

from __future__ import annotations

import io
import json

import pytest

from mikoshi.cli import output
from mikoshi.cli.progress import JsonLines, Lines
from mikoshi.core import events as e
from mikoshi.core.errors import HostUnreachable, to_wire


class Clock:
    def now(self) -> float:
        return 1000.5

    def monotonic(self) -> float:
        return 1.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody sleeps {seconds} here")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (999_499, "999 KB"), (999_500, "1.0 MB"), (62_000_000, "62.0 MB")],
)
def test_sizes_are_short_and_never_show_a_thousand(count: int, text: str) -> None:
    assert output.size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.123, "0.12 s"), (61, "61 s"), (600, "10 min")])
def test_durations_keep_what_matters(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text


def test_columns_stay_aligned_with_wide_characters() -> None:
    text = output.table([{"a": "神輿", "b": "x"}, {"a": "ab", "b": "y"}], {"a": "A", "b": "B"})
    assert text.splitlines() == ["A     B", "神輿  x", "ab    y"]


def test_colour_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert output.paint("x", "red", Terminal()) == "\x1b[31mx\x1b[0m"
    assert output.paint("x", "red", io.StringIO()) == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.paint("x", "red", Terminal()) == "x"


PHASE = e.ProbedPhase("during", 9.0, 180, {"refused": 1}, 0, 0, 0, 0, 0, 0.01, 0.1, 0.2, 0.3)


def sample(kind: type) -> e.Event:
    values = {
        "str": "text", "int": 3, "float": 1.5, "bool": True, "tuple[str, ...]": ("web1",),
        "tuple[ProbedPhase, ...]": (PHASE,),
        "tuple[AnsweredSpan, ...]": (e.AnsweredSpan(1.0, 2.0, ("7",)),),
    }  # fmt: skip
    facts = {}
    for name, annotation in kind.__annotations__.items():
        facts[name] = to_wire(HostUnreachable("h", "no")) if annotation.startswith("Mapping") else values[annotation]
    return kind(**facts)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", e.EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_can_be_shown_both_ways(kind: type, capsys: pytest.CaptureFixture[str]) -> None:
    event = sample(kind)
    Lines()(event)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    JsonLines(Clock())(event)
    line = json.loads(capsys.readouterr().out)
    assert (line["v"], line["event"], line["at"]) == (e.EVENTS_VERSION, e.event_name(kind), 1000.5)
    assert set(line) - {"v", "event", "at"} == set(kind.__annotations__)
