"""The engine is killed before and after everything it journals; the next one goes on and repeats nothing that ended."""

from __future__ import annotations

import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mikoshi.core import messages
from mikoshi.core.deployment import Settings
from mikoshi.node.steps import (
    ACTIVATE,
    RECORDS,
    REVERT,
    AttemptBegun,
    AttemptEnded,
    Step,
    StepBegun,
    StepEnded,
    TreeFoundEdited,
    TreeRepaired,
    Verdict,
)  # fmt: skip
from tests.node.client import Engine, EngineGone, Refusal, build
from tests.node.runner.ground import Site, application, failures, load
from tests.node.web import Web

WHEN = ("before", "after")
HOOKS = ("before_activate", "restart", "after_activate")
KEPT_BY_RUNNER = (Step.TRIAL, Step.SERVE)
STEPS = [
    f"{kind.__name__}.{step.value}" for step in Step if step not in KEPT_BY_RUNNER for kind in (StepBegun, StepEnded)
]
RUNNER_STEPS = [f"{kind.__name__}.{step.value}" for step in KEPT_BY_RUNNER for kind in (StepBegun, StepEnded)]
ATTEMPT = [f"{AttemptBegun.__name__}.{ACTIVATE}", f"{Verdict.__name__}.done", f"{AttemptEnded.__name__}.{ACTIVATE}"]
WAY_BACK = [
    f"{AttemptBegun.__name__}.{REVERT}",
    *(
        f"{kind.__name__}.{step.value}"
        for step in (Step.SWITCH, Step.RESTART, Step.HEALTH)
        for kind in (StepBegun, StepEnded)
    ),
    f"{AttemptEnded.__name__}.{REVERT}",
]
REPAIR = [TreeFoundEdited.__name__, TreeRepaired.__name__]


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    """A healthy application."""
    with Web(200) as serving:
        yield serving


def settings_for(web: Web, log: Path, restart: str = "true") -> Settings:
    def traced(name: str, then: str = "true") -> dict[str, object]:
        return {"run": f"echo {name} $MIKOSHI_SEQ >> {log}; {then}", "within": 20}

    return Settings(
        processes={"web": {"listen": f"127.0.0.1:{web.port}", "health": {"path": "/", "within": 20}}},
        hooks={name: traced(name) for name in ("before_activate", "after_activate")},
        restart=traced("restart", restart),
    )


def dying(seq: int, name: str, when: str) -> Engine:
    return Engine((sys.executable, "-X", "utf8", "-m", "tests.faults.dying_engine", str(seq), name, when))


def prepare(path: Path, settings: Settings) -> None:
    """Two deployments that ended well."""
    with Engine() as engine:
        engine.begin(path)
        for seq in (1, 2):
            engine.deploy(seq, build({"app": str(seq).encode(), "same": b"same"}), seq - 1, settings)


def ran(log: Path, seq: int) -> Counter[str]:
    return Counter(line.split()[0] for line in log.read_text().splitlines() if line.endswith(f" {seq}"))


def current(path: Path) -> tuple[str, bytes]:
    site = path / "shop/production"
    return os.readlink(site / "current"), (site / "current/app").read_bytes()


def test_every_record_of_the_union_has_a_case() -> None:
    cases = {name.partition(".")[0] for name in (*STEPS, *ATTEMPT, *WAY_BACK, *REPAIR)}
    assert cases == {kind.__name__ for kind in RECORDS}
    assert {name.partition(".")[2] for name in (*STEPS, *RUNNER_STEPS)} == {step.value for step in Step}


@pytest.mark.parametrize(("name", "when"), list(itertools.product([*STEPS, *ATTEMPT], WHEN)))
def test_a_killed_deploy_goes_on(tmp_path: Path, web: Web, name: str, when: str) -> None:
    log = tmp_path / "log"
    settings, built = settings_for(web, log), build({"app": b"3", "same": b"same"})
    prepare(tmp_path, settings)
    with dying(3, name, when) as engine:
        engine.begin(tmp_path)
        with pytest.raises(EngineGone):
            engine.deploy(3, built, 2, settings, keep=1)
    assert current(tmp_path) in (("deployments/2/tree", b"2"), ("deployments/3/tree", b"3"))
    with Engine() as engine:
        engine.begin(tmp_path)
        engine.deploy(3, built, 2, settings, keep=1)
        view = engine.hello(tmp_path)
        entries = engine.call(messages.History())["entries"]
    expected = Counter(dict.fromkeys(HOOKS, 1))
    step = name.partition(".")[2]
    if name.startswith("StepEnded") and when == "before" and step in HOOKS:
        expected[step] += 1  # it ran, but nobody was left to write that down
    if (name, when) in (("StepBegun.health", "after"), ("StepEnded.health", "before")):
        expected["restart"] += 1  # an interrupted check says nothing of the processes
    assert ran(log, 3) == expected
    assert current(tmp_path) == ("deployments/3/tree", b"3")
    assert (view.current, view.interrupted, [kept.seq for kept in view.kept]) == (3, "", [2, 3])
    assert view.kept[-1].verdict == "done"
    assert entries == [{"seq": 1}, {"seq": 2}, {"seq": 3}]


@pytest.mark.parametrize(("name", "when"), list(itertools.product(RUNNER_STEPS, WHEN)))
def test_a_killed_hand_over_goes_on(site: Site, name: str, when: str) -> None:
    site.deploy()
    with load(site, threads=2) as counts:
        with dying(2, name, when) as engine:
            engine.begin(site.base)
            with pytest.raises(EngineGone):
                engine.deploy(2, application(), 1, site.settings())
        assert site.serving() in (1, 2)
        with Engine() as engine:
            engine.begin(site.base)
            engine.deploy(2, application(), 1, site.settings())
            view = engine.hello(site.base)
    assert failures(counts) == {}
    assert (view.current, view.interrupted, site.serving()) == (2, "", 2)
    assert [(row["seq"], row["ends"]) for row in site.ask("status")["processes"]] == [(2, 0)]


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("name", ["StepBegun.serve", "StepEnded.serve"])
def test_a_killed_way_back_of_a_hand_over_goes_on(site: Site, name: str, when: str) -> None:
    site.deploy()
    with load(site, threads=2) as counts:
        with dying(1, name, when) as engine:
            engine.begin(site.base)
            engine.stage_fully(2, application("crash-in-public"), site.settings())
            with pytest.raises(EngineGone):
                engine.call(messages.Activate(2, 1))
        with Engine() as engine:
            engine.begin(site.base)
            engine.call(messages.Revert(1))
            assert engine.call(messages.Revert(1)) == {"changed": False}
    assert failures(counts) == {}
    assert site.serving() == 1
    assert [row["seq"] for row in site.ask("status")["processes"]] == [1]


@pytest.mark.parametrize(("name", "when"), list(itertools.product(WAY_BACK, WHEN)))
def test_a_killed_way_back_goes_on(tmp_path: Path, web: Web, name: str, when: str) -> None:
    log = tmp_path / "log"
    settings, built = settings_for(web, log), build({"app": b"3", "same": b"same"})
    prepare(tmp_path, settings)
    before = ran(log, 2)
    with dying(2, name, when) as engine:
        engine.begin(tmp_path)
        engine.stage_fully(3, built, settings_for(web, log, restart="false"))
        with pytest.raises(EngineGone):
            engine.call(messages.Activate(3, 2))
    assert current(tmp_path) in (("deployments/2/tree", b"2"), ("deployments/3/tree", b"3"))
    with Engine() as engine:
        engine.begin(tmp_path)
        engine.call(messages.Revert(2))
        view = engine.hello(tmp_path)
        assert engine.call(messages.Revert(2)) == {"changed": False}
    again = ran(log, 2) - before
    unsure = [("StepEnded.restart", "before"), ("StepBegun.health", "after"), ("StepEnded.health", "before")]
    assert again == Counter({"restart": 2 if (name, when) in unsure else 1})
    assert current(tmp_path) == ("deployments/2/tree", b"2")
    assert (view.current, view.interrupted) == (2, "")
    assert {kept.seq: kept.verdict for kept in view.kept} == {1: "done", 2: "done", 3: "failed"}


@pytest.mark.parametrize(("name", "when"), list(itertools.product(REPAIR, WHEN)))
def test_a_killed_repair_goes_on(tmp_path: Path, web: Web, name: str, when: str) -> None:
    settings = settings_for(web, tmp_path / "log")
    prepare(tmp_path, settings)
    edited = tmp_path / "shop/production/deployments/2/tree/same"
    edited.chmod(0o644)
    edited.write_bytes(b"edit")
    edited.chmod(0o444)
    built = build({"app": b"3", "same": b"same"})
    with dying(2, name, when) as engine:
        engine.begin(tmp_path)
        with pytest.raises(EngineGone):
            engine.stage_fully(3, built, settings)
    with Engine() as engine:
        engine.begin(tmp_path)
        engine.deploy(3, built, 2, settings)
        assert engine.call(messages.Revert(2)) == {"changed": True}
        assert not [warning for warning in engine.hello(tmp_path).warnings if "edited" in warning]
    assert edited.read_bytes() == b"same"


@pytest.mark.parametrize("name", [f"{AttemptEnded.__name__}.{ACTIVATE}", f"{Verdict.__name__}.failed"])
@pytest.mark.parametrize("when", WHEN)
def test_a_kill_around_the_verdict_of_a_failure(tmp_path: Path, web: Web, name: str, when: str) -> None:
    log = tmp_path / "log"
    settings = settings_for(web, log)
    prepare(tmp_path, settings)
    with dying(3, name, when) as engine:
        engine.begin(tmp_path)
        engine.stage_fully(3, build({"app": b"3"}), settings_for(web, log, restart="false"))
        with pytest.raises((EngineGone, Refusal)) as caught:
            engine.call(messages.Activate(3, 2))
        assert caught.type is EngineGone
    with Engine() as engine:
        assert engine.begin(tmp_path).current == 3
        assert engine.call(messages.Revert(2)) == {"changed": True}
    assert current(tmp_path) == ("deployments/2/tree", b"2")
