"""The journal survives being torn at any byte, and compaction changes nothing that it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikoshi.node import journal
from mikoshi.node.files import Files
from mikoshi.node.journal import Journal, State, read_records
from mikoshi.node.steps import (
    ACTIVATE,
    RECORDS,
    REVERT,
    AttemptBegun,
    AttemptEnded,
    Record,
    Step,
    StepBegun,
    StepEnded,
    TreeFoundEdited,
    TreeRepaired,
    Verdict,
    record_to_json,
)  # fmt: skip

seqs, goals, outcomes = st.integers(0, 5), st.sampled_from([ACTIVATE, REVERT]), st.sampled_from(["done", "failed"])
steps, boots = st.sampled_from(Step), st.sampled_from(["a", "b"])
records: st.SearchStrategy[Record] = st.one_of(
    st.builds(AttemptBegun, seqs, goals, seqs, boots),
    st.builds(AttemptEnded, seqs, goals, outcomes),
    st.builds(StepBegun, seqs, steps),
    st.builds(StepEnded, seqs, steps, boots, st.sampled_from(["", "HookFailed"])),
    st.builds(Verdict, seqs, outcomes),
    st.builds(TreeFoundEdited, seqs, st.tuples(st.text())),
    st.builds(TreeRepaired, seqs),
)


def encoded(found: list[Record]) -> bytes:
    return b"".join(json.dumps(record_to_json(record)).encode() + b"\n" for record in found)


def state_of(found: list[Record]) -> State:
    state = State()
    for record in found:
        state.add(record)
    return state


def test_every_kind_of_record_is_tried_here() -> None:
    assert len(RECORDS) == 7


@given(st.lists(records, max_size=12), st.integers(0, 2000))
def test_torn_at_any_byte_the_whole_lines_are_read(found: list[Record], cut: int) -> None:
    data = encoded(found)[:cut]
    whole = data.count(b"\n")
    got = read_records(data)
    assert got[:whole] == found[:whole]
    assert len(got) - whole in (0, 1)  # a line cut exactly before its end is a whole record
    assert got == found[: len(got)]


@given(st.lists(records, max_size=30))
def test_compaction_keeps_what_the_journal_says(found: list[Record]) -> None:
    state = state_of(found)
    again = state_of(state.records())
    for name in ("verdicts", "edited", "attempt", "ended", "open_step", "interrupted", "highest_seq"):
        assert getattr(again, name) == getattr(state, name), name
    if not state.ended:
        assert again.steps == state.steps


def test_a_record_after_a_torn_line_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(encoded([Verdict(1, "done")]) + b'{"record":"Verd')
    Journal(str(path), Files()).add(Verdict(2, "failed"))
    assert Journal(str(path), Files()).state.verdicts == {1: "done", 2: "failed"}


def test_a_journal_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "COMPACT_ABOVE", 2000)
    path = tmp_path / "journal"
    writer = Journal(str(path), Files())
    for number in range(200):
        writer.add(
            StepBegun(7, Step.HEALTH), StepEnded(7, Step.HEALTH, "a"), Verdict(7, "done" if number % 2 else "failed")
        )
        writer.state.steps.clear()
    assert path.stat().st_size < 3000
    assert Journal(str(path), Files()).state.verdicts == {7: "done"}


def test_what_watches_processes_is_done_again_after_another_boot() -> None:
    state = state_of([
        AttemptBegun(3, ACTIVATE, 2, "a"),
        StepEnded(3, Step.BEFORE_ACTIVATE, "a"),
        StepEnded(3, Step.SWITCH, "a"),
        StepEnded(3, Step.RESTART, "a"),
    ])  # fmt: skip
    assert state.finished(3, ACTIVATE, "a") == {Step.BEFORE_ACTIVATE, Step.SWITCH, Step.RESTART}
    assert state.finished(3, ACTIVATE, "b") == {Step.BEFORE_ACTIVATE}
    assert state.finished(4, ACTIVATE, "a") == set()


def test_an_interrupted_check_starts_the_application_again() -> None:
    state = state_of([
        AttemptBegun(3, ACTIVATE, 2, "a"), StepEnded(3, Step.RESTART, "a"), StepBegun(3, Step.HEALTH),
    ])  # fmt: skip
    assert Step.RESTART not in state.finished(3, ACTIVATE, "a")
    assert state.interrupted == "health"


def test_a_failed_step_is_not_a_finished_one() -> None:
    state = state_of([AttemptBegun(3, ACTIVATE, 2, "a"), StepEnded(3, Step.BEFORE_ACTIVATE, "a", "HookFailed")])
    assert state.finished(3, ACTIVATE, "a") == set()
    assert state.interrupted == ACTIVATE
