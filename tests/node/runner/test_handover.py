"""From one deployment to the next with real processes: what is proved, what is never lost, what is refused."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from mikoshi.core import messages
from mikoshi.core.deployment import Settings
from mikoshi.core.errors import HealthFailed, MikoshiError, PortTaken, ProcessEnded, ProcessNotStarted, SocketNotUsed
from tests.node.client import Engine, Refusal
from tests.node.runner.ground import Site, application, failures, free_port, load, until


def refused(site: Site, mode: str = "", settings: Settings | None = None) -> tuple[MikoshiError, Any]:
    """Why the next deployment fails, and the whole answer."""
    with Engine() as engine:
        engine.begin(site.base)
        with pytest.raises(Refusal) as caught:
            engine.deploy(site.next_number(), application(mode), site.seq, settings or site.settings())
    return caught.value.error, caught.value.envelope


def test_no_request_fails_while_deployments_change(site: Site) -> None:
    site.deploy(settings=site.settings(instances=2))
    with load(site) as counts:
        for _ in range(4):
            site.deploy(settings=site.settings(instances=2))
        until(lambda: counts["5"] > 20)
    assert failures(counts) == {}
    assert {"1", "2", "3", "4", "5"} <= set(counts)
    assert {row["seq"] for row in site.processes()} == {5}


@pytest.mark.parametrize(("more", "told"), [("", True), (" {fd} {port}", False)])
def test_a_process_is_told_of_its_socket_in_one_way(site: Site, more: str, told: bool) -> None:
    site.deploy(settings=site.settings(command=f"exec python3 -S serve.py{more}"))
    (row,) = site.processes()
    environment = Path(f"/proc/{row['pid']}/environ").read_text().split("\0")
    assert (f"LISTEN_PID={row['pid']}" in environment) == told
    assert (f"SERVER_STARTER_PORT=127.0.0.1:{site.port}=3" in environment) == told
    assert f"PORT={site.port}" in environment
    words = Path(f"/proc/{row['pid']}/cmdline").read_text().split("\0")[:-1]
    assert words[3:] == ([] if told else ["3", str(site.port)])


def test_a_server_that_takes_no_silent_connection_is_seen_to_serve(site: Site) -> None:
    site.deploy("deferred")
    site.deploy("deferred")
    assert site.serving() == 2


def test_a_slow_request_is_finished_by_the_deployment_that_took_it(site: Site) -> None:
    site.deploy()
    with load(site, path="/slow") as counts:
        site.deploy()
        until(lambda: counts["2"])
    assert failures(counts) == {}
    assert counts["1"]


def test_a_trial_is_out_of_reach_and_gone_before_anything_else_begins(site: Site) -> None:
    site.deploy()
    lines = site.log().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["web.0@1? begins web.0", "web.1@1 begins web.1"]
    runner = site.log("runner")
    assert runner.index("web.0 of deployment 1 ended") < runner.index("web.1 of deployment 1 began")


def test_health_is_asked_as_the_site_s_visitors_ask(site: Site) -> None:
    health = {"path": "/up", "within": 15.0, "explicit": True, "site": "shop.example.com"}
    site.deploy(settings=site.settings(health=health))
    seen = site.root / "shared" / "asked"
    assert "Host: shop.example.com\r\n" in seen.read_bytes().decode()
    assert "X-Forwarded-Proto: https\r\n" in seen.read_bytes().decode()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("crash", ProcessEnded), ("ill", HealthFailed), ("fork-away", ProcessEnded), ("another-port", SocketNotUsed)],
)
def test_what_is_not_fit_never_serves(site: Site, mode: str, kind: type[MikoshiError]) -> None:
    site.deploy()
    with load(site) as counts:
        error, envelope = refused(site, mode, site.settings(within=2.0))
    assert isinstance(error, kind)
    assert (envelope["current"], envelope["restored"]) == (1, True)
    assert failures(counts) == {}
    assert set(counts) == {"1"}
    until(lambda: [row["seq"] for row in site.ask("status")["processes"]] == [1])
    if isinstance(error, ProcessEnded):
        assert (error.phase, error.status) == ("trial", 3 if mode == "crash" else 0)
        assert error.lines[-1:] == (["it broke"] if mode == "crash" else ["begins web.0"])
    if isinstance(error, SocketNotUsed):
        assert error.opened.isdigit()


def test_a_first_deployment_that_fails_leaves_nothing(site: Site) -> None:
    error, envelope = refused(site, "crash-in-public")
    assert isinstance(error, ProcessEnded)
    assert error.phase == "start"
    assert (envelope["current"], envelope["restored"]) == (0, True)
    assert site.ask("status")["processes"] == []
    assert not (site.root / "current").is_symlink()
    with pytest.raises(ConnectionRefusedError):
        site.get()


def test_what_only_fails_in_public_goes_back_to_processes_that_never_stopped(site: Site) -> None:
    site.deploy()
    pids = {row["pid"] for row in site.processes()}
    with load(site) as counts:
        error, envelope = refused(site, "crash-in-public")
    assert isinstance(error, ProcessEnded)
    assert (error.phase, envelope["current"], envelope["restored"]) == ("start", 1, True)
    assert {row["pid"] for row in site.processes()} == pids
    assert failures(counts) == {}


def test_a_process_that_ends_after_it_served_fails_the_watch_and_is_started_again(site: Site) -> None:
    site.deploy()
    with Engine() as engine:
        engine.begin(site.base)
        engine.call(messages.Alive())
        with pytest.raises((OSError, http.client.HTTPException)):
            site.get("/die")
        until(lambda: [row["ends"] for row in site.processes()] == [1])
        with pytest.raises(Refusal) as caught:
            engine.call(messages.Alive())
    assert isinstance(caught.value.error, ProcessEnded)
    assert (caught.value.error.phase, caught.value.error.status) == ("watch", 4)
    assert site.serving() == 1


def test_one_that_ignores_its_signal_is_killed_when_its_time_is_over(site: Site) -> None:
    stop = {"signal": "TERM", "within": 0.3}
    site.deploy("ignore", site.settings(stop=stop))
    site.deploy("", site.settings(stop=stop))
    assert site.serving() == 2
    assert "web.1 of deployment 1 was killed by signal 9" in site.log("runner")


def test_a_port_that_a_stranger_has_is_found_before_anything_changes(site: Site) -> None:
    with socket.create_server(("127.0.0.1", site.port)):
        error, envelope = refused(site)
    assert isinstance(error, PortTaken)
    assert (error.pid, error.address) == (os.getpid(), f"127.0.0.1:{site.port}")
    assert envelope["current"] == 0
    site.deploy(previous=0)
    assert site.serving() == site.seq


def test_one_that_wants_the_port_itself_is_told_so(site: Site) -> None:
    error, _ = refused(site, f"own-port {site.port}")
    assert isinstance(error, ProcessEnded)
    assert error.opened == f"127.0.0.1:{site.port}"


def test_a_command_that_does_not_exist_says_so(site: Site) -> None:
    error, _ = refused(site, settings=site.settings(command="exec ./no-such-program"))
    assert isinstance(error, (ProcessEnded, ProcessNotStarted))
    assert any("no-such-program" in line for line in getattr(error, "lines", ()))


def test_another_port_is_opened_and_the_old_one_closed(site: Site) -> None:
    site.deploy()
    before, site.port = site.port, free_port()
    site.deploy()
    assert site.serving() == 2
    with socket.socket() as one:
        assert one.connect_ex(("127.0.0.1", before)) != 0


def test_workers_make_way_before_their_successors_start(site: Site) -> None:
    jobs = {
        "command": "trap 'sleep 0.2; echo ended; exit' TERM; echo begins; while :; do sleep 0.05; done",
        "instances": 1,
    }
    settings = Settings(processes={"jobs": jobs})
    site.deploy(settings=settings)
    site.deploy(settings=settings)
    words = [line.split(" ", 1)[1] for line in site.log("jobs").splitlines() if "Terminated" not in line]
    assert words == ["jobs.1@1 begins", "jobs.1@1 ended", "jobs.1@2 begins"]
    site.deploy(settings=Settings(processes={"jobs": {**jobs, "replace": "start-first"}}))
    words = [line.split(" ", 1)[1] for line in site.log("jobs").splitlines() if "Terminated" not in line]
    assert words[-2:] == ["jobs.1@3 begins", "jobs.1@2 ended"]


def test_what_is_no_longer_configured_ends(site: Site) -> None:
    both = Settings(processes={**site.settings().processes, "jobs": {"command": "sleep 1000"}})
    site.deploy(settings=both)
    assert {row["process"] for row in site.processes()} == {"web", "jobs"}
    site.deploy()
    assert {row["process"] for row in site.ask("status")["processes"]} == {"web"}


def test_a_restart_of_the_user_s_own_takes_the_runner_s_place(site: Site) -> None:
    site.deploy()
    with Engine() as engine:
        engine.begin(site.base)
        own = Settings(processes={"web": {"command": "x", "listen": ""}}, restart={"run": "true", "within": 5.0})
        engine.deploy(2, application(), 1, own)
    assert site.ask("status")["processes"] == []


def test_a_killed_child_s_group_goes_with_it(site: Site) -> None:
    site.deploy(settings=Settings(processes={"jobs": {"command": "sleep 1234 & exec sleep 1235"}}))
    (row,) = site.processes()
    os.kill(row["pid"], signal.SIGKILL)
    until(lambda: [one["ends"] for one in site.processes()] == [1])
    until(lambda: len([pid for pid in site.left() if b"sleep\x001234" in _words(pid)]) == 1)


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
