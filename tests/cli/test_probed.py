"""The probe's report as people read it."""

from __future__ import annotations

import re
import time

import pytest

from mikoshi.cli.probed import milliseconds, probe_began, probed
from mikoshi.cli.texts import FAILURES, failures
from mikoshi.core.events import AnsweredSpan, ProbeBegan, Probed, ProbedPhase
from mikoshi.ports.web import KINDS, NOT_SENT

QUIET = ProbedPhase("before", 3.0, 60, {}, 0, 0, 0, 0, 0, 0.003, 0.005, 0.0099, 0.012)
BUSY = ProbedPhase("during", 9.0, 1180, {"reset": 1, "refused": 3}, 1, 7, 2, 4, 1, 0.003, 0.2, 1.5, 9.1)
SILENT = ProbedPhase("after", 3.0, 60, {"timeout": 60}, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0)
NOON = time.mktime((2030, 6, 1, 12, 0, 0, 0, 0, -1))


def report(*spans: AnsweredSpan) -> str:
    return probed(Probed("http://a/", 20.0, "X-Mikoshi-Seq", (QUIET, BUSY, SILENT), spans))


def test_each_phase_has_a_row_with_its_failures_by_kind() -> None:
    rows = report().splitlines()
    assert rows[0] == "  probe of http://a/, 20 requests a second:"
    assert [row.split() for row in rows[2:3]] == [
        ["before", "60", "0", "3.0", "ms", "5.0", "ms", "9.9", "ms", "12", "ms"]
    ]
    assert "1,180" in rows[3]
    assert "3 refused, 1 reset (1 on a kept connection), 7 answered 4xx, 2 before the first good answer" in rows[3]
    assert "4 not sent: too many under way, 1 request not answered yet" in rows[3]
    assert re.search(r"60 +60 +- +- +- +- +60 timed out", rows[4])
    assert rows[5].endswith("no answer named one in X-Mikoshi-Seq")


def test_the_timeline_says_who_answered_until_when() -> None:
    old, both = AnsweredSpan(NOON, NOON + 3.15, ("7",)), AnsweredSpan(NOON + 3.15, NOON + 4.0, ("7", "8"))
    new = AnsweredSpan(NOON + 4.05, NOON + 9.0, ("8",))
    assert report(old, both, new).endswith("deployment 7 until 12:00:03.1, 7 and 8 until 12:00:04.0, then 8")
    assert report(old).endswith("answered by deployment 7")


def test_a_gap_in_which_nobody_answered_is_shown() -> None:
    old, new = AnsweredSpan(NOON, NOON + 2.0, ("7",)), AnsweredSpan(NOON + 5.5, NOON + 9.0, ("8",))
    assert report(old, new).endswith("deployment 7 until 12:00:02.0, then 8 from 12:00:05.5")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00123, "1.2 ms"), (0.00994, "9.9 ms"), (0.00996, "10 ms"), (1.5, "1500 ms"), (9.9996, "10 s")],
)
def test_times_have_a_few_figures(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text


def test_the_begin_says_what_is_asked_how_often_and_how_long() -> None:
    assert probe_began(ProbeBegan("http://a/", 1.0, 0.0)) == "  probing http://a/, 1 request a second"
    assert probe_began(ProbeBegan("http://a/", 2.5, 60.0)).endswith("2.5 requests a second for 60 s")


def test_every_kind_of_failure_has_its_words() -> None:
    assert set(FAILURES) == set(KINDS) - {NOT_SENT}
    assert failures({"tls": 1, "dns": 1, "refused": 1234}) == "1,234 refused, 1 name unknown, 1 TLS"
