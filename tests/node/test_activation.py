"""Activation happens whole or not at all: what fails after the rename goes back, what succeeded is not done again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mikoshi.core import messages
from mikoshi.core.deployment import Settings
from mikoshi.core.errors import (
    HealthFailed,
    HookFailed,
    HookTimeout,
    MikoshiError,
    NotStaged,
    PathUnusable,
    RunAsImpossible,
    TreeEdited,
)
from tests.node.client import Engine, Refusal, build
from tests.node.conftest import Start, poll
from tests.node.web import Web

ONE, TWO = build({"app": b"one"}), build({"app": b"two"})


def command(run: str, within: float = 10.0) -> dict[str, Any]:
    return {"run": run, "within": within}


def traced(log: Path, **more: Any) -> Settings:
    """Settings whose hooks and restart write down that they ran, and where."""
    mark = f'echo {{}} $MIKOSHI_SEQ "$(basename "$(dirname "$PWD")")" >> {log}'.format
    return Settings(
        hooks={"before_activate": command(mark("before")), "after_activate": command(mark("after"))},
        restart=command(mark("restart")),
        **more,
    )


def refused(engine: Engine, seq: int, previous: int) -> Refusal:
    with pytest.raises(Refusal) as caught:
        engine.call(messages.Activate(seq, previous))
    return caught.value


# ── success ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_steps_run_in_order_in_the_real_tree(engine: Engine, site: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    engine.deploy(1, ONE, settings=traced(log))
    assert log.read_text().split("\n") == ["before 1 1", "restart 1 1", "after 1 1", ""]
    assert os.readlink(site / "current") == "deployments/1/tree"
    started = [event["step"] for event in engine.events if event["kind"] == "StepStarted"]
    assert started == ["stage", "before_activate", "switch", "restart", "after_activate", "settle"]


def test_before_activate_sees_the_old_deployment_as_current(engine: Engine, site: Path, tmp_path: Path) -> None:
    look = f"cat {site}/current/app > {tmp_path}/"
    engine.deploy(1, ONE)
    hooks = {"before_activate": command(f"{look}before"), "after_activate": command(f"{look}after")}
    engine.deploy(2, TWO, 1, Settings(hooks=hooks))
    assert (tmp_path / "before").read_bytes() == b"one"
    assert (tmp_path / "after").read_bytes() == b"two"


def test_doing_it_again_runs_nothing(engine: Engine, tmp_path: Path) -> None:
    log = tmp_path / "log"
    engine.deploy(1, ONE, settings=traced(log))
    before = log.read_text()
    assert engine.call(messages.Activate(1, 0))["changed"] is False
    assert log.read_text() == before


def test_commands_get_the_deployments_environment_and_nothing_else(start: Start, tmp_path: Path, site: Path) -> None:
    engine = start()
    engine.begin(tmp_path)
    settings = Settings(hooks={"before_activate": command(f"env > {tmp_path}/env; umask > {tmp_path}/umask")})
    engine.deploy(1, ONE, settings=settings, values={"GREETING": "hi\nthere"})
    text = (tmp_path / "env").read_text()
    assert "GREETING=hi\nthere\n" in text
    assert "LANG=C.UTF-8" in text
    assert "PYTHONPATH" not in text  # the test's own environment has it
    assert (tmp_path / "umask").read_text() == "0022\n"
    names = {line.partition("=")[0] for line in text.splitlines() if "=" in line}
    shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    assert {name for name in names - shell if not name.startswith("MIKOSHI_")} == {
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "SHELL", "GREETING", "PYTHONPYCACHEPREFIX",
    }  # fmt: skip


def test_output_is_streamed_line_by_line(engine: Engine) -> None:
    settings = Settings(hooks={"before_activate": command("echo one; echo two >&2; printf three")})
    engine.deploy(1, ONE, settings=settings)
    lines = [event["line"] for event in engine.events if event["kind"] == "Output"]
    assert lines == ["one", "two", "three"]


def test_output_comes_while_the_command_runs(engine: Engine, tmp_path: Path) -> None:
    flag = tmp_path / "go"
    run = f"echo waiting; while [ ! -e {flag} ]; do sleep 0.02; done"
    engine.stage_fully(1, ONE, Settings(hooks={"before_activate": command(run)}))
    number = engine.ask(messages.Activate(1, 0))
    while not any(event.get("line") == "waiting" for event in engine.events):
        from mikoshi.core.frames import message_of

        engine.events.append(message_of(engine.read())["event"])
    flag.touch()
    assert engine.answer(number)[0]["changed"]


def test_a_daemon_that_keeps_the_output_open_does_not_hold_the_engine(
    engine: Engine, site: Path, tmp_path: Path
) -> None:
    flag = tmp_path / "go"
    run = f"(while [ ! -e {flag} ]; do sleep 0.02; done; echo still writing) & echo started"
    engine.stage_fully(1, ONE, Settings(restart=command(run)))
    assert engine.call(messages.Activate(1, 0))["changed"]
    flag.touch()
    poll(lambda: "still writing" in (site / "log/1-restart.log").read_text())


def test_a_renewal_is_answered_while_a_hook_runs(engine: Engine, tmp_path: Path) -> None:
    from mikoshi.core.frames import message_of

    flag = tmp_path / "go"
    engine.stage_fully(
        1, ONE, Settings(hooks={"before_activate": command(f"while [ ! -e {flag} ]; do sleep 0.02; done")})
    )
    activation = engine.ask(messages.Activate(1, 0))
    renewal = engine.ask(messages.Renew())
    while (message := message_of(engine.read())).get("id") != renewal:
        assert "event" in message
    assert message["ok"] == {}
    flag.touch()
    assert engine.answer(activation)[0]["changed"]


# ── failure ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failing_before_hook_changes_nothing(engine: Engine, site: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    engine.deploy(1, ONE, settings=traced(log))
    before = log.read_text()
    settings = Settings(hooks={"before_activate": command("seq 30; exit 3")}, restart=command(f"echo no >> {log}"))
    engine.stage_fully(2, TWO, settings)
    refusal = refused(engine, 2, 1)
    assert isinstance(refusal.error, HookFailed)
    assert refusal.error.status == 3
    assert refusal.error.step == "before_activate"
    assert refusal.error.lines == [str(number) for number in range(11, 31)]
    assert refusal.envelope["current"] == 1
    assert refusal.envelope["restored"] is True
    assert log.read_text() == before


@pytest.mark.parametrize("failing", ["restart", "after_activate"])
def test_what_fails_after_the_rename_goes_back_with_the_old_environment(
    engine: Engine, site: Path, tmp_path: Path, failing: str
) -> None:
    log = tmp_path / "log"
    engine.deploy(1, ONE, settings=traced(log))
    bad = command("exit 1")
    settings = Settings(restart=bad) if failing == "restart" else Settings(hooks={"after_activate": bad})
    engine.stage_fully(2, TWO, settings)
    refusal = refused(engine, 2, 1)
    assert isinstance(refusal.error, HookFailed)
    assert refusal.envelope["restored"] is True
    assert os.readlink(site / "current") == "deployments/1/tree"
    assert log.read_text().splitlines()[3:] == ["restart 1 1"]  # its own restart, its own env, no hooks
    kept = {kept.seq: kept.verdict for kept in engine.hello(tmp_path).kept}
    assert kept == {1: "done", 2: "failed"}


def test_a_failure_of_the_system_goes_back_as_well(engine: Engine, site: Path) -> None:
    engine.deploy(1, ONE)
    engine.stage_fully(2, TWO, Settings(restart=command("true")))
    (site / "log").rmdir()
    (site / "log").write_bytes(b"not a directory")
    refusal = refused(engine, 2, 1)
    assert isinstance(refusal.error, PathUnusable)
    assert refusal.error.step == "restart"
    assert (refusal.envelope["current"], refusal.envelope["restored"]) == (1, True)


def test_an_env_file_that_was_tampered_with_is_not_guessed_at(engine: Engine, site: Path) -> None:
    engine.stage_fully(1, ONE, Settings(restart=command("true")))
    (site / "deployments/1/env").chmod(0o600)
    (site / "deployments/1/env").write_bytes(b"A=$(reboot)\n")
    refusal = refused(engine, 1, 0)
    assert isinstance(refusal.error, TreeEdited)
    assert refusal.error.paths == ["env"]
    assert not (site / "current").is_symlink()


def test_a_first_deployment_that_fails_leaves_no_current(engine: Engine, site: Path) -> None:
    engine.stage_fully(1, ONE, Settings(restart=command("exit 1")))
    refusal = refused(engine, 1, 0)
    assert refusal.envelope["current"] == 0
    assert not (site / "current").is_symlink()


def test_a_failed_way_back_says_so(engine: Engine, tmp_path: Path) -> None:
    flag = tmp_path / "broken"
    engine.deploy(1, ONE, settings=Settings(restart=command(f"test ! -e {flag}")))
    engine.stage_fully(2, TWO, Settings(restart=command(f"touch {flag}; exit 7")))
    refusal = refused(engine, 2, 1)
    assert refusal.error.facts()["status"] == 7
    assert refusal.envelope["restored"] is False
    assert "restart" in refusal.envelope["reason"]
    flag.unlink()
    assert engine.call(messages.Revert(1))["changed"] is True
    assert engine.call(messages.Revert(1))["changed"] is False


@pytest.mark.parametrize("request_again", [messages.Revert(1), messages.Activate(1, 0)], ids=["revert", "activate"])
def test_a_failed_way_back_is_shown_until_it_is_mended(
    engine: Engine, site: Path, tmp_path: Path, request_again: messages.Request
) -> None:
    mended, log = tmp_path / "mended", tmp_path / "log"
    settings = Settings(restart=command(f"echo $MIKOSHI_SEQ >> {log}; test -e {mended} || test ! -e {log}.second"))
    engine.deploy(1, ONE, settings=settings)
    engine.stage_fully(2, TWO, Settings(restart=command(f"touch {log}.second; false")))
    assert refused(engine, 2, 1).envelope["restored"] is False
    assert engine.hello(site.parents[1]).interrupted == "revert"
    mended.touch()
    assert engine.call(request_again)["changed"] is True
    assert log.read_text().split() == ["1", "1", "1"]
    assert engine.hello(site.parents[1]).interrupted == ""


def test_a_command_that_takes_too_long_is_killed_with_its_children(engine: Engine, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    run = f"trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > {pid}; while :; do sleep 0.1; done' & echo begun; wait"
    engine.stage_fully(1, ONE, Settings(hooks={"before_activate": command(run, within=1.0)}))
    refusal = refused(engine, 1, 0)
    assert isinstance(refusal.error, HookTimeout)
    assert refusal.error.seconds == 1.0
    assert refusal.error.lines == ["begun"]
    poll(lambda: not is_running(int(pid.read_text())))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_what_is_not_staged_is_not_activated(engine: Engine) -> None:
    assert isinstance(refused(engine, 9, 0).error, NotStaged)


@pytest.mark.parametrize("edit", ["content", "mode", "extra", "gone", "link", "directory"])
def test_an_edited_tree_is_noticed_and_not_run(engine: Engine, site: Path, tmp_path: Path, edit: str) -> None:
    log = tmp_path / "log"
    built = build({"app": b"one", "lib/x": b"x"}, links={"l": "app"})
    engine.stage_fully(1, built, traced(log))
    root = site / "deployments/1/tree"
    for directory in (root, root / "lib"):
        directory.chmod(0o755)
    expected = _EDITS[edit](root)
    for directory in (root, root / "lib"):
        if edit != "directory":
            directory.chmod(0o555)
    refusal = refused(engine, 1, 0)
    assert isinstance(refusal.error, TreeEdited)
    assert refusal.error.paths == expected
    assert not log.exists()
    assert any("edited" in warning for warning in engine.hello(tmp_path).warnings)


def _edit_content(root: Path) -> list[str]:
    """Same size, same times: only the change time and the content tell."""
    path = root / "app"
    status = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"ono")
    path.chmod(0o444)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return ["app"]


def _edit_mode(root: Path) -> list[str]:
    (root / "app").chmod(0o555)
    return ["app"]


def _edit_extra(root: Path) -> list[str]:
    (root / "lib/__pycache__").mkdir()
    return ["lib/__pycache__"]


def _edit_gone(root: Path) -> list[str]:
    (root / "lib/x").unlink()
    return ["lib/x"]


def _edit_link(root: Path) -> list[str]:
    (root / "l").unlink()
    (root / "l").symlink_to("lib/x")
    return ["l"]


_EDITS: dict[str, Callable[[Path], list[str]]] = {
    "content": _edit_content,
    "mode": _edit_mode,
    "extra": _edit_extra,
    "gone": _edit_gone,
    "link": _edit_link,
    "directory": lambda _root: [".", "lib"],
}


def test_going_back_does_not_refuse_what_ran_until_now(engine: Engine, site: Path, tmp_path: Path) -> None:
    engine.deploy(1, ONE)
    engine.stage_fully(2, TWO, Settings(restart=command("exit 1")))
    path = site / "deployments/1/tree/app"
    path.chmod(0o644)
    path.write_bytes(b"hot fix")
    refusal = refused(engine, 2, 1)
    assert refusal.envelope["restored"] is True
    assert (site / "current/app").read_bytes() == b"hot fix"
    assert any("deployment 1 was edited" in warning for warning in engine.hello(tmp_path).warnings)


# ── health ─────────────────────────────────────────────────────────────────────────────────────────────────────


def listening(port: int, within: float = 0.5, **health: Any) -> Settings:
    process = {"listen": f"0.0.0.0:{port}", "health": {"path": "/up", "within": within, **health}}
    return Settings(processes={"web": process}, restart=command("echo restarted"))


@pytest.mark.parametrize(
    ("status", "explicit", "healthy"),
    [(200, True, True), (302, True, True), (404, True, False), (404, False, True), (500, False, False)],
)
def test_the_answer_decides(engine: Engine, status: int, explicit: bool, healthy: bool) -> None:
    with Web(status) as web:
        engine.stage_fully(1, ONE, listening(web.port, explicit=explicit))
        if healthy:
            assert engine.call(messages.Activate(1, 0))["changed"]
            assert engine.call(messages.Alive()) == {}
        else:
            error = refused(engine, 1, 0).error
            assert isinstance(error, HealthFailed)
            assert (error.process, error.answer, error.lines) == ("web", str(status), ["restarted"])
            assert error.url == f"http://127.0.0.1:{web.port}/up"
    assert web.requests[0].startswith("GET /up HTTP/1.1\r\n")
    assert "User-Agent: mikoshi-health\r\n" in web.requests[0]


def test_an_application_that_needs_a_while_is_waited_for(engine: Engine) -> None:
    with Web(503, 503, 200) as web:
        engine.stage_fully(1, ONE, listening(web.port, within=20.0, explicit=True))
        assert engine.call(messages.Activate(1, 0))["changed"]
    assert len(web.requests) == 3


def test_nobody_there_is_told_apart(engine: Engine) -> None:
    with Web(200) as web:
        port = web.port
    engine.stage_fully(1, ONE, listening(port))
    assert refused(engine, 1, 0).error.facts()["answer"] == "refused"


def test_an_application_that_does_not_answer_is_told_apart(engine: Engine) -> None:
    with Web(0) as web:
        engine.stage_fully(1, ONE, listening(web.port))
        assert refused(engine, 1, 0).error.facts()["answer"].startswith("no answer in ")


def test_an_unhealthy_deployment_goes_back_and_the_old_one_is_checked(engine: Engine, site: Path) -> None:
    with Web(200) as good, Web(500) as bad:
        engine.deploy(1, ONE, settings=listening(good.port))
        seen = len(good.requests)
        engine.stage_fully(2, TWO, listening(bad.port))
        refusal = refused(engine, 2, 1)
    assert isinstance(refusal.error, HealthFailed)
    assert refusal.envelope["restored"] is True
    assert len(good.requests) == seen + 1
    assert os.readlink(site / "current") == "deployments/1/tree"


# ── the end of the session ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["close", signal.SIGTERM, signal.SIGHUP])
def test_the_step_in_progress_ends_and_no_other_is_begun(start: Start, tmp_path: Path, site: Path, how: Any) -> None:
    flag, log = tmp_path / "go", tmp_path / "log"
    wait = f"echo begun >> {log}; while [ ! -e {flag} ]; do sleep 0.02; done; echo ended >> {log}"
    settings = Settings(hooks={"before_activate": command(wait)}, restart=command(f"echo restart >> {log}"))
    first = start()
    first.begin(tmp_path)
    first.stage_fully(1, ONE, settings)
    first.ask(messages.Activate(1, 0))
    poll(lambda: log.exists() and "begun" in log.read_text())
    assert first.process.stdin is not None
    if how == "close":
        first.process.stdin.close()
    else:
        first.process.send_signal(how)
    flag.touch()
    assert first.process.wait(20) == 0
    assert first.last_words() == ""
    assert log.read_text() == "begun\nended\n"
    second = start()
    view = second.begin(tmp_path)
    assert view.interrupted == "activate"
    assert view.lease is not None
    assert view.lease.token == 2
    assert view.current == 0
    assert second.call(messages.Activate(1, 0))["changed"]
    assert log.read_text() == "begun\nended\nrestart\n"


def test_a_hook_that_outlived_its_engine_is_ended_before_it_runs_again(start: Start, tmp_path: Path) -> None:
    pids, go = tmp_path / "pids", tmp_path / "go"
    run = f"echo $$ >> {pids}; while [ ! -e {go} ]; do sleep 0.02; done; echo $$ >> {pids}.ended"
    first = start()
    first.begin(tmp_path)
    first.stage_fully(1, ONE, Settings(hooks={"before_activate": command(run, within=60)}))
    first.ask(messages.Activate(1, 0))
    poll(lambda: pids.exists() and pids.read_text().endswith("\n"))
    poll((tmp_path / "shop/production/run/command").exists)
    first.process.kill()
    first.process.wait(20)
    orphan = int(pids.read_text())
    assert is_running(orphan)
    second = start()
    assert second.begin(tmp_path).interrupted == "before_activate"
    activation = second.ask(messages.Activate(1, 0))
    poll(lambda: len(pids.read_text().splitlines()) == 2)
    assert not is_running(orphan)
    go.touch()
    assert second.answer(activation)[0]["changed"]
    assert Path(f"{pids}.ended").read_text().split() == pids.read_text().split()[1:]


# ── whose commands ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.root
def test_commands_run_as_the_applications_user(start: Start, tmp_path_factory: pytest.TempPathFactory) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mikoshi-run-as-") as name:
        Path(name).chmod(0o755)
        engine = start()
        engine.hello(name, run_as="nobody")
        engine.acquire()
        run = (
            "id -un; id -Gn; cat $MIKOSHI_PATH/deployments/1/env > /dev/null && echo readable; "
            "touch x || echo read-only; touch $MIKOSHI_SHARED/media/x && echo shared"
        )
        settings = Settings(hooks={"before_activate": command(run)}, shared=("media/",), run_as="nobody")
        engine.deploy(1, ONE, settings=settings, values={"SECRET": "x"})
        lines = [event["line"] for event in engine.events if event["kind"] == "Output"]
        assert lines[:3] == ["nobody", "nogroup", "readable"]
        assert lines[-2:] == ["read-only", "shared"]
        status = Path(name, "shop/production/deployments/1/env").stat()
        assert (status.st_uid, status.st_mode & 0o777) == (65534, 0o400)
        assert Path(name, "shop/production/deployments/1/tree/app").stat().st_uid == 0
        owners = [Path(name, "shop/production/run", place).stat().st_uid for place in ("", "pycache", "pycache/1")]
        assert owners == [0, 0, 65534]
        engine.close()


def test_an_unknown_user_is_refused(start: Start, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        start().hello(tmp_path, run_as="no-such-user-here")
    error: MikoshiError = caught.value.error
    assert isinstance(error, RunAsImpossible)
    assert not (tmp_path / "shop").exists()
