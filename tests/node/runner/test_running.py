"""Restart, stop and the output of what runs, over real processes."""

from __future__ import annotations

import socket
import threading

import pytest

from mikoshi.core import messages
from mikoshi.core.deployment import Settings
from mikoshi.core.errors import NotStaged, PortTaken, ProcessEnded
from tests.node.client import Engine, EngineGone, Refusal
from tests.node.runner.ground import Site, application, failures, load, until


def test_what_was_stopped_stays_so_until_a_restart(site: Site) -> None:
    site.deploy(settings=site.settings(instances=2))
    with Engine() as engine:
        engine.begin(site.base)
        assert engine.call(messages.Stop()) == {"ended": 2}
        assert engine.acquire().stopped
        assert engine.call(messages.Stop()) == {"ended": 0}
        engine.call(messages.Restart())
        assert not engine.acquire().stopped
    assert len(site.processes()) == 2


def test_a_restart_that_fails_leaves_what_was_stopped_stopped(site: Site) -> None:
    site.deploy("crash-on-demand")
    with Engine() as engine:
        engine.begin(site.base)
        engine.call(messages.Stop())
        (site.root / "shared" / "crash").touch()
        with pytest.raises(Refusal) as caught:
            engine.call(messages.Restart())
        assert isinstance(caught.value.error, ProcessEnded)
        assert engine.acquire().stopped
        assert engine.acquire().processes == ()


def test_a_restart_that_fails_at_once_leaves_the_mark_of_a_stop(site: Site) -> None:
    site.deploy()
    with Engine() as engine:
        engine.begin(site.base)
        engine.call(messages.Stop())
        strangers: list[socket.socket] = []
        until(lambda: _listens(site.port, strangers))
        with strangers[0], pytest.raises(Refusal) as caught:
            engine.call(messages.Restart())
        assert isinstance(caught.value.error, PortTaken)
        assert engine.acquire().stopped


def _listens(port: int, made: list[socket.socket]) -> bool:
    """The holder closes its socket in its own time."""
    try:
        made.append(socket.create_server(("127.0.0.1", port)))
    except OSError:
        return False
    return True


def test_a_restart_that_fails_leaves_the_old_processes(site: Site) -> None:
    site.deploy("crash-on-demand")
    pids = {row["pid"] for row in site.processes()}
    (site.root / "shared" / "crash").touch()
    with load(site) as counts, Engine() as engine:
        engine.begin(site.base)
        with pytest.raises(Refusal) as caught:
            engine.call(messages.Restart())
    assert isinstance(caught.value.error, ProcessEnded)
    assert caught.value.error.lines[:2] == ["begins web.1", "it broke"]
    assert caught.value.envelope.get("restored", True)
    assert {row["pid"] for row in site.processes()} == pids
    assert failures(counts) == {}


def test_where_nothing_runs_there_is_nothing_to_restart(site: Site) -> None:
    with Engine() as engine:
        engine.begin(site.base)
        with pytest.raises(Refusal) as caught:
            engine.call(messages.Restart())
    assert isinstance(caught.value.error, NotStaged)


def test_a_user_s_own_restart_that_fails_is_not_called_restored(site: Site) -> None:
    own = Settings(restart={"run": "test ! -e $MIKOSHI_SHARED/crash", "within": 5.0})
    site.deploy(settings=own)
    (site.root / "shared" / "crash").touch()
    with Engine() as engine:
        engine.begin(site.base)
        with pytest.raises(Refusal) as caught:
            engine.call(messages.Restart())
    assert caught.value.envelope["restored"] is False


def test_secrets_of_a_deployment_that_comes_while_its_log_is_followed_are_hidden(site: Site) -> None:
    program = {"command": "echo it is $TOKEN; exec sleep 1000"}
    settings = Settings(processes={"jobs": program}, secrets={"TOKEN": "mac"})
    with Engine() as engine:
        engine.begin(site.base)
        engine.deploy(1, application(), 0, settings, {"TOKEN": "first-secret"})
    with Engine() as follower:
        follower.hello(site.base)
        heard = threading.Thread(target=_follow, args=(follower,), daemon=True)
        heard.start()
        until(lambda: follower.events)
        with Engine() as engine:
            engine.begin(site.base)
            engine.deploy(2, application(), 1, settings, {"TOKEN": "second-secret"})
        until(lambda: len(follower.events) == 2)
        follower.process.kill()
        heard.join(20)
    lines = [event["line"].split(" ", 1)[1] for event in follower.events]
    assert lines == ["jobs.1@1 it is [TOKEN]", "jobs.1@2 it is [TOKEN]"]


def _follow(engine: Engine) -> None:
    try:
        engine.call(messages.Logs(follow=True))
    except EngineGone:
        return


def test_only_a_process_s_log_is_read_whatever_is_asked_for(site: Site) -> None:
    site.deploy()
    (site.root / "secret.log").write_text("not a process's\n")
    with Engine() as engine:
        engine.hello(site.base)
        engine.call(messages.Logs("../secret"))
        assert engine.events == []
        engine.call(messages.Logs("web", 1))
        assert len(engine.events) == 1
