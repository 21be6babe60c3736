"""Golden cases: tests/cases/push/*.json say what is there and what is wanted, and the plan that follows."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from mikoshi.core.deployment import DONE, FAILED, RUNNING, Deployment, FleetRecord, Settings
from mikoshi.core.errors import (
    DeploymentUnknown,
    MikoshiError,
    NothingToRollBackTo,
    ProtocolMismatch,
    SameMachine,
    error_types,
)
from mikoshi.core.messages import Kept, NodeView
from mikoshi.styles.push.observe import FleetView, fleet_view
from mikoshi.styles.push.reconcile import Want, reconcile, rollback_target

CASES = sorted((Path(__file__).parents[2] / "cases" / "push").glob("*.json"))


def settings(values: dict[str, str]) -> Settings:
    return Settings(vars=values)


def view(name: str, row: dict[str, Any]) -> NodeView:
    kept = tuple(
        Kept(seq, release, "", staged != "partial", verdict) for seq, release, verdict, staged in row.get("kept", [])
    )
    return NodeView(
        hostname=name, user="deploy", uid=1000, root=False, python="3.11.2", platform="linux-x86_64", boot_id="b",
        identity=row.get("identity", name), path="/srv", free_bytes=1, free_inodes=1, current=row.get("current", 0),
        kept=kept, highest_seq=max([0, *(item.seq for item in kept)]), interrupted=row.get("interrupted", ""),
    )  # fmt: skip


def record(row: dict[str, Any]) -> FleetRecord:
    own = settings(row.get("vars", {}))
    deployment = Deployment(
        row["seq"], row["release"], own.digest(), "somebody", 1.0, origin=row.get("origin", row["seq"])
    )
    return FleetRecord(deployment, own, row.get("stable", 0), (), row["outcome"])


def fleet(case: dict[str, Any]) -> FleetView:
    views = {name: view(name, row) for name, row in case["nodes"].items()}
    records = {row["seq"]: record(row) for row in case.get("records", [])}
    return FleetView(views, tuple(case.get("unreachable", ())), records)


def want(case: dict[str, Any]) -> Want:
    wanted = case["want"]
    return Want(
        wanted.get("release", ""),
        settings(wanted.get("vars", {})),
        wanted.get("origin", 0),
        tuple(wanted.get("only", ())),
        wanted.get("abort", False),
    )


def as_lines(value: Any) -> list[str]:
    return [
        " ".join([type(action).__name__, *(f"{key}={item}" for key, item in asdict(action).items())])
        for action in value
    ]


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_the_plan_is_the_golden_one(file: Path) -> None:
    case = json.loads(file.read_text())
    if "error" in case:
        with pytest.raises(error_types()[case["error"]]):
            reconcile(fleet(case), want(case))
        return
    plan = reconcile(fleet(case), want(case))
    assert as_lines(plan.actions) == case["actions"]
    for key, expected in case["plan"].items():
        found = getattr(plan, key)
        assert (list(found) if isinstance(found, tuple) else found) == expected, key


def test_there_are_golden_cases_for_each_situation() -> None:
    assert {file.stem for file in CASES} >= {"first", "noop", "change", "vars-only", "resume", "superseded"}


RELEASES = [
    {"seq": 1, "release": "a", "outcome": DONE},
    {"seq": 2, "release": "b", "outcome": DONE, "stable": 1},
    {"seq": 3, "release": "x", "outcome": FAILED, "stable": 2},
    {"seq": 4, "release": "c", "outcome": DONE, "stable": 2},
]


def records(*rows: dict[str, Any]) -> FleetView:
    return FleetView({}, (), {row["seq"]: record(row) for row in rows})


def test_a_rollback_takes_the_last_good_deployment_and_skips_failed_ones() -> None:
    assert rollback_target(records(*RELEASES)).seq == 2


def test_a_second_rollback_goes_further_back_and_not_to_and_fro() -> None:
    rolled = {"seq": 5, "release": "b", "outcome": DONE, "stable": 4, "origin": 2}
    assert rollback_target(records(*RELEASES, rolled)).seq == 1


def test_a_rollback_skips_deployments_of_the_same_release_and_vars() -> None:
    again = {"seq": 5, "release": "c", "outcome": DONE, "stable": 4}
    assert rollback_target(records(*RELEASES, again)).seq == 2


def test_changed_vars_alone_are_worth_a_rollback() -> None:
    other = {"seq": 5, "release": "c", "vars": {"COLOUR": "red"}, "outcome": DONE, "stable": 4}
    assert rollback_target(records(*RELEASES, other)).seq == 4


def test_a_rollback_to_a_number_takes_any_kept_deployment() -> None:
    assert rollback_target(records(*RELEASES), 1).seq == 1
    with pytest.raises(DeploymentUnknown):
        rollback_target(records(*RELEASES), 9)


@pytest.mark.parametrize("rows", [[], RELEASES[:1]])
def test_without_an_earlier_good_deployment_there_is_nothing_to_roll_back_to(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(NothingToRollBackTo):
        rollback_target(records(*rows))


def test_two_names_for_one_machine_are_an_error() -> None:
    views = {"a": view("a", {"identity": "same"}), "b": view("b", {"identity": "same"})}
    with pytest.raises(SameMachine) as caught:
        fleet_view(views, (), "a")
    assert (caught.value.first, caught.value.second) == ("a", "b")


def test_an_unreadable_fleet_record_is_named_and_not_skipped() -> None:
    broken = replace(view("a", {}), fleet=({"deployment": {}},))
    with pytest.raises(ProtocolMismatch) as caught:
        fleet_view({"a": broken}, (), "a")
    assert caught.value.node == "a"
    assert isinstance(caught.value, MikoshiError)


def rows(*given: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    return tuple(record(row).to_json() for row in given)


def test_records_of_a_former_anchor_count_and_are_foreign_to_the_present_one() -> None:
    views = {
        "new": replace(view("new", {}), fleet=rows(RELEASES[0])),
        "old": replace(view("old", {}), fleet=rows(RELEASES[0], RELEASES[1])),
    }
    seen = fleet_view(views, (), "new")
    assert sorted(seen.records) == [1, 2]
    assert [one.seq for one in seen.foreign] == [2]
    assert seen.stable is not None
    assert seen.stable.seq == 2


@pytest.mark.parametrize("anchor", ["new", "old"])
def test_of_two_copies_of_a_record_the_finished_one_is_right(anchor: str) -> None:
    views = {
        "new": replace(view("new", {}), fleet=rows(RELEASES[0], RELEASES[1])),
        "old": replace(view("old", {}), fleet=rows(RELEASES[0], {**RELEASES[1], "outcome": RUNNING})),
    }
    seen = fleet_view(views, (), anchor)
    assert seen.unfinished is None
    assert seen.foreign == ()
