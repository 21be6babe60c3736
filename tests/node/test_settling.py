"""The end of a deploy: verdicts, the audit trail, pruning, the anchor's records, and content given back."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mikoshi.core import messages, transfer
from mikoshi.core import release as releases
from mikoshi.core.deployment import Deployment, FleetRecord, Settings
from mikoshi.core.errors import ContentMissing, DeploymentUnknown
from mikoshi.core.frames import CHUNKS, Frame, unpack_chunks
from mikoshi.node import machine
from mikoshi.node.fingerprints import REST_NS, Fingerprints
from mikoshi.node.fleet import KEPT_RECORDS
from tests.node.client import Built, Engine, Refusal, build, sha
from tests.node.conftest import Start, poll


def numbered(number: int) -> Built:
    return build({"app": str(number).encode(), "same": b"same"})


def standing(site: Path) -> list[str]:
    return sorted(os.listdir(site / "deployments"))


def test_old_deployments_go_with_their_logs_and_bytecode(engine: Engine, site: Path) -> None:
    settings = Settings(
        restart={"run": 'mkdir -p "$PYTHONPYCACHEPREFIX$PWD"; touch "$PYTHONPYCACHEPREFIX$PWD/m.pyc"', "within": 5}
    )
    for seq in range(1, 6):
        engine.deploy(seq, numbered(seq), seq - 1, settings, keep=2)
    assert standing(site) == ["4", "5"]
    assert sorted(os.listdir(site / "log")) == ["4-restart.log", "5-restart.log"]
    assert sorted(os.listdir(site / "run/pycache")) == ["4", "5"]
    assert len(list((site / "run/pycache").rglob("m.pyc"))) == 2
    assert (site / "current/same").read_bytes() == b"same"


def test_pruning_follows_no_link_that_an_application_left_among_its_bytecode(
    engine: Engine, site: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other/deployments"
    (other / "1").mkdir(parents=True)
    (other / "1/precious").touch()
    place = '"$PYTHONPYCACHEPREFIX${PWD%/1/tree}"'
    plant = f'case $PWD in */1/tree) mkdir -p "$PYTHONPYCACHEPREFIX{site}" && ln -s {other} {place};; esac'
    for seq in range(1, 4):
        engine.deploy(seq, numbered(seq), seq - 1, Settings(restart={"run": plant, "within": 5}), keep=1)
    assert standing(site) == ["2", "3"]
    assert sorted(os.listdir(site / "run/pycache")) == ["2", "3"]
    assert (other / "1/precious").exists()


def test_a_number_is_never_given_out_again(engine: Engine, tmp_path: Path) -> None:
    engine.deploy(1, numbered(1))
    for seq in (2, 3):
        engine.stage_fully(seq, numbered(seq))
        engine.call(messages.Settle(seq, "failed", 1, 5, ()))
    engine.deploy(4, numbered(4), 1, keep=1)
    engine.call(messages.Revert(1))
    assert engine.hello(tmp_path).highest_seq == 4


def test_protected_and_stable_ones_stay(engine: Engine, site: Path) -> None:
    for seq in range(1, 6):
        engine.deploy(seq, numbered(seq), seq - 1)
    assert engine.call(messages.Settle(5, "done", 3, 1, (2,)))["pruned"] == [1]
    assert standing(site) == ["2", "3", "4", "5"]


def test_the_last_failure_stays_until_the_next_success(engine: Engine, site: Path) -> None:
    engine.deploy(1, numbered(1))
    for seq in (2, 3):
        engine.stage_fully(seq, numbered(seq))
        engine.call(messages.Settle(seq, "failed", 1, 5, ()))
    assert standing(site) == ["1", "3"]
    engine.deploy(4, numbered(4), 1)
    assert standing(site) == ["1", "4"]


def test_what_a_crash_left_is_removed(engine: Engine, site: Path) -> None:
    engine.deploy(1, numbered(1))
    (site / "deployments/.gone-7/tree/a").mkdir(parents=True)
    (site / "deployments/.gone-7/tree").chmod(0o555)
    (site / ".mikoshi-new-999999999-journal").write_bytes(b"")
    (site / "deployments/1/.mikoshi-new-999999999-env").write_bytes(b"")
    engine.call(messages.Settle(1, "done", 1, 5, ()))
    assert standing(site) == ["1"]
    assert not list(site.rglob(".mikoshi-new-*"))


def test_a_half_removed_deployment_is_not_seen(engine: Engine, site: Path, tmp_path: Path) -> None:
    engine.deploy(1, numbered(1))
    engine.stage_fully(2, numbered(2))
    (site / "deployments/2").rename(site / "deployments/.gone-2")
    assert [kept.seq for kept in engine.hello(tmp_path).kept] == [1]


def test_history_grows_by_one_line_however_often_it_is_told(engine: Engine, site: Path) -> None:
    for entry in ({"seq": 1}, {"seq": 1}, {"seq": 2}):
        engine.call(messages.Settle(0, "", 0, 5, (), entry))
    assert engine.call(messages.History())["entries"] == [{"seq": 1}, {"seq": 2}]
    with (site / "history").open("ab") as file:
        file.write(b'{"seq": 3')
    engine.call(messages.Settle(0, "", 0, 5, (), {"seq": 4}))
    assert engine.call(messages.History(2))["entries"] == [{"seq": 2}, {"seq": 4}]


# ── going back ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_going_back_uses_the_old_environment_and_runs_no_hooks(engine: Engine, site: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    settings = Settings(
        hooks={"before_activate": {"run": f"echo hook >> {log}", "within": 5}},
        restart={"run": f"echo restart $WHICH >> {log}", "within": 5},
    )
    engine.deploy(1, numbered(1), 0, settings, {"WHICH": "old"})
    engine.deploy(2, numbered(2), 1, settings, {"WHICH": "new"})
    log.unlink()
    assert engine.call(messages.Revert(1)) == {"changed": True}
    assert log.read_text() == "restart old\n"
    assert engine.call(messages.Revert(1)) == {"changed": False}
    assert log.read_text() == "restart old\n"
    assert os.readlink(site / "current") == "deployments/1/tree"


def test_going_back_to_nothing_removes_current(engine: Engine, site: Path, tmp_path: Path) -> None:
    engine.deploy(1, numbered(1))
    assert engine.call(messages.Revert(0)) == {"changed": True}
    assert engine.call(messages.Revert(0)) == {"changed": False}
    assert not (site / "current").is_symlink()
    assert engine.hello(tmp_path).current == 0
    assert engine.call(messages.Activate(1, 0)) != {}


def test_going_back_ends_an_interrupted_attempt(start: Start, tmp_path: Path, site: Path) -> None:
    first = start()
    first.begin(tmp_path)
    first.deploy(1, numbered(1))
    wait = f"touch {tmp_path}/begun; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"
    first.stage_fully(2, numbered(2), Settings(hooks={"before_activate": {"run": wait, "within": 90}}))
    first.ask(messages.Activate(2, 1))
    poll((tmp_path / "begun").exists)
    first.process.kill()
    (tmp_path / "go").touch()
    second = start()
    assert second.begin(tmp_path).interrupted == "before_activate"
    assert second.call(messages.Revert(1)) == {"changed": False}
    view = second.hello(tmp_path)
    assert (view.interrupted, view.current) == ("", 1)
    assert {kept.seq: kept.verdict for kept in view.kept} == {1: "done", 2: "failed"}


# ── the anchor ─────────────────────────────────────────────────────────────────────────────────────────────────


def record(seq: int) -> dict[str, object]:
    return FleetRecord(Deployment(seq, "r", "s", "ann", 1.0), Settings(), 0, ("a", "b")).to_json()


def test_a_record_is_created_once(engine: Engine, tmp_path: Path) -> None:
    assert engine.call(messages.CreateRecord(record(3))) == {"created": True}
    assert engine.call(messages.CreateRecord({**record(3), "stable": 9})) == {"created": False}
    view = engine.hello(tmp_path)
    assert view.fleet == (record(3),)
    assert view.highest_seq == 3


def test_a_records_outcome_changes_and_nothing_else(engine: Engine, tmp_path: Path) -> None:
    engine.call(messages.CreateRecord(record(3)))
    engine.call(messages.UpdateRecord(3, "failed", 9.5, ("HealthFailed",)))
    wanted = {**record(3), "outcome": "failed", "ended": 9.5, "causes": ["HealthFailed"]}
    assert engine.hello(tmp_path).fleet == (wanted,)
    with pytest.raises(Refusal) as caught:
        engine.call(messages.UpdateRecord(4, "done"))
    assert isinstance(caught.value.error, DeploymentUnknown)
    assert caught.value.error.known == [3]


def test_the_key_is_made_once_and_private(engine: Engine, site: Path) -> None:
    assert engine.call(messages.SettingsKey(create=False)) == {"key": ""}
    key = engine.call(messages.SettingsKey())["key"]
    assert len(bytes.fromhex(key)) == 32
    assert engine.call(messages.SettingsKey())["key"] == key
    assert engine.call(messages.SettingsKey(create=False))["key"] == key
    assert (site / "key").stat().st_mode & 0o777 == 0o600


# ── content given back ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_release_comes_back_as_it_went(engine: Engine) -> None:
    big = os.urandom(3 << 20)
    built = build({"a": b"x", "big": big, "again": big, "empty": b""}, links={"l": "a"})
    engine.stage_fully(1, built)
    _, (manifest, index) = engine.answer(engine.ask(messages.Describe(built.id)))
    assert releases.decode(manifest) == built.manifest
    assert transfer.decode(index) == built.index
    chunks = transfer.chunks(built.manifest, built.index)
    wanted = [0, 2]
    _, batches = engine.answer(engine.ask(messages.Fetch(built.id), [transfer.bitmap(wanted, len(chunks))]))
    got = [pair for batch in batches for pair in unpack_chunks(Frame(CHUNKS, batch))]
    assert [(number, sha(data)) for number, data in got] == [(number, chunks[number].digest) for number in wanted]


def test_content_that_was_edited_is_not_given_back(engine: Engine, site: Path) -> None:
    built = build({"a": b"x"})
    engine.stage_fully(1, built)
    path = site / "deployments/1/tree/a"
    path.chmod(0o644)
    path.write_bytes(b"y")
    with pytest.raises(Refusal) as caught:
        engine.answer(engine.ask(messages.Fetch(built.id), [transfer.bitmap([0], 1)]))
    assert isinstance(caught.value.error, ContentMissing)
    assert caught.value.error.paths == ["a"]


@pytest.mark.parametrize("request_", [messages.Describe("0" * 64), messages.Fetch("0" * 64)])
def test_a_release_that_is_not_held_is_missing(engine: Engine, request_: messages.Request) -> None:
    with pytest.raises(Refusal) as caught:
        engine.call(request_)
    assert isinstance(caught.value.error, ContentMissing)


def test_old_records_of_the_fleet_go_but_those_that_are_needed(engine: Engine, site: Path) -> None:
    engine.deploy(1, numbered(1))
    for seq in range(1, KEPT_RECORDS + 4):
        engine.call(messages.CreateRecord({"deployment": {"seq": seq}}))
    engine.call(messages.Settle(1, "done", 1, 5, (3,), {}))
    left = sorted(int(file.stem) for file in (site / "fleet").iterdir())
    assert left == [1, 3, *range(4, KEPT_RECORDS + 4)]


def test_pruning_makes_no_file_of_the_current_tree_unknown(engine: Engine, site: Path, tmp_path: Path) -> None:
    engine.deploy(1, numbered(1))
    poll(lambda: time.time_ns() > (site / "current" / "same").stat().st_ctime_ns + REST_NS)
    engine.deploy(2, numbered(2), 1, keep=1)
    engine.deploy(3, numbered(3), 2, keep=1)
    assert not (site / "deployments" / "1").exists()
    kept = Fingerprints((site / "fingerprints").read_bytes(), machine.boot_id())
    assert kept.known((site / "current" / "same").lstat()) == sha(b"same")
