"""`--probe` and `mikoshi probe` through the real command line: a real site on loopback, real nodes on this machine."""

from __future__ import annotations

import contextlib
import http.server
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.workbench import Ran, Workbench

NODES = ("local/a", "local/b")


class Site(http.server.ThreadingHTTPServer):
    """What users would ask. `answer` gives status and deployment of each request, `requests` counts them."""

    daemon_threads = True

    def __init__(self, answer: Callable[[int], tuple[int, int]]) -> None:
        super().__init__(("127.0.0.1", 0), Visit)
        self.answer, self.requests, self.agents = answer, 0, set[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/up"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up waiting is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Visit(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        self.server.requests += 1
        self.server.agents.add(self.headers["User-Agent"])
        status, seq = self.server.answer(self.server.requests)
        self.send_response(status)
        self.send_header("X-Mikoshi-Seq", str(seq))
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"up\n")

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in the base class
        """Nothing on the screen."""


@contextlib.contextmanager
def site(answer: Callable[[int], tuple[int, int]]) -> Iterator[Site]:
    with Site(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    made = Workbench(tmp_path, nodes=NODES)
    # The hook leaves a moment between the begin of a wave and the switch: what was asked before has its answer by then.
    made.configure('hooks.before_activate = "sleep 0.3"')
    made.write({"index.html": "one"})
    return made


@pytest.fixture
def running(bench: Workbench) -> Workbench:
    """Deployment 1 runs, and the source has changed since."""
    bench.run("deploy")
    bench.write({"index.html": "two"})
    return bench


def balanced(bench: Workbench) -> Callable[[int], tuple[int, int]]:
    """A healthy site whose requests go to each node in turn."""
    return lambda number: (200, bench.current(NODES[number % 2]))


def broken_by(bench: Workbench, seq: int) -> Callable[[int], tuple[int, int]]:
    """A site that is sick as long as the first node runs deployment `seq`, whatever the node itself says."""

    def answer(number: int) -> tuple[int, int]:
        sick = bench.current(NODES[0]) == seq
        return 503 if sick else 200, bench.current(NODES[number % 2])

    return answer


def phases(ran: Ran) -> dict[str, dict[str, Any]]:
    return {phase["name"]: phase for phase in ran.event("probed")["phases"]}


def test_a_healthy_rollout_reports_no_failure_and_who_answered_when(running: Workbench) -> None:
    with site(balanced(running)) as asked:
        ran = running.run("deploy", "--probe", asked.url, "--probe-budget", "0", "--json")
    assert [running.current(node) for node in NODES] == [2, 2]
    seen = phases(ran)
    assert list(seen) == ["before", "during", "after"]
    assert [phase["failed"] for phase in seen.values()] == [{}, {}, {}]
    assert sum(phase["requests"] for phase in seen.values()) == asked.requests
    assert all(0 < phase["p50"] <= phase["max"] for phase in seen.values())
    spans = [span["deployments"] for span in ran.event("probed")["spans"]]
    assert (spans[0], spans[-1]) == (["1"], ["2"])
    names = [event["event"] for event in ran.events]
    assert names.index("packed") < names.index("probe_began") < names.index("attempt_began")
    assert names[-2:] == ["probed", "command_ended"]
    (agent,) = asked.agents
    assert agent.startswith("mikoshi-probe/")


def test_a_site_that_breaks_in_the_middle_turns_the_rollout_back(running: Workbench) -> None:
    with site(broken_by(running, 2)) as asked:
        ran = running.run("deploy", "--probe", asked.url, "--probe-budget", "0", "--json", code=6)
    assert [running.current(node) for node in NODES] == [1, 1]
    assert [event["node"] for event in ran.all_events("node_flipped")] == ["local/a"], "the second wave began"
    (cause,) = ran.event("error")["error"]["facts"]["causes"]
    assert cause == ran.event("probe_failed")["error"]
    assert cause["type"] == "ProbeBudgetExceeded"
    assert (cause["facts"]["failed"], cause["facts"]["kinds"]) == (1, {"server_error": 1})
    seen = phases(ran)
    assert seen["before"]["failed"] == {}
    assert list(seen["during"]["failed"]) == ["server_error"]
    assert seen["after"]["failed"] == {}, "the site is well again on deployment 1"
    assert "--probe-budget allows 0" in ran.err
    (entries,) = [json.loads(line) for line in running.run("history", "--json").out.splitlines()]
    assert entries[-1]["result"] == "failed"


def test_no_wave_begins_before_a_request_that_times_out_late_has_been_told(running: Workbench) -> None:
    """The time limit of a request is longer than the wave is watched: the failure is known only after that."""
    over = threading.Event()

    def answer(_number: int) -> tuple[int, int]:
        if running.current("local/a") == 2:
            over.wait(60)
        return 200, 1

    with site(answer) as asked:
        words = ("deploy", "--probe", asked.url, "--probe-budget", "0", "--probe-timeout", "5s", "--json")
        ran = running.run(*words, code=6)
        over.set()
    assert [event["node"] for event in ran.all_events("node_flipped")] == ["local/a"]
    assert ran.event("probe_failed")["error"]["facts"]["kinds"] == {"timeout": 1}
    assert running.current("local/a") == 1


def test_without_a_budget_it_only_reports(running: Workbench) -> None:
    with site(broken_by(running, 2)) as asked:
        out = running.run("deploy", "--probe", asked.url, "--probe-rate", "50").out
    assert running.current("local/b") == 2
    assert "probing http://127.0.0.1" in out
    assert "50 requests a second" in out
    rows = {line.split()[0]: line for line in out.splitlines() if line.startswith("    ")}
    assert rows["PHASE"].split() == ["PHASE", "REQUESTS", "FAILED", "P50", "P95", "P99", "MAX"]
    assert "status 5xx" not in rows["before"]
    assert "status 5xx" in rows["after"]
    assert rows["answered"].strip().startswith("answered by deployment 1 until ")
    assert rows["answered"].endswith("then 2")


def test_a_rollback_is_probed_as_well(running: Workbench) -> None:
    running.run("deploy")
    with site(broken_by(running, 3)) as asked:
        ran = running.run("rollback", "--probe", asked.url, "--probe-budget", "3", "--json", code=6)
    assert [running.current(node) for node in NODES] == [2, 2]
    assert ran.event("probe_failed")["error"]["facts"]["failed"] == 4


def test_a_site_that_does_not_answer_stops_the_deploy_before_anything_changes(running: Workbench) -> None:
    with site(lambda _: (503, 1)) as asked:
        ran = running.run("deploy", "--probe", asked.url, code=4)
    assert "got a good answer" in ran.err
    assert "status 5xx" in ran.err
    ran = running.run("deploy", "--probe", asked.url, "--json", code=4)
    assert ran.event("error")["error"]["facts"]["kinds"].keys() == {"refused"}
    assert not ran.all_events("attempt_began")
    assert running.run("status", "--json").events[0]["unfinished"] is None
    assert running.current("local/a") == 1


def test_before_a_first_deployment_nobody_has_to_answer(bench: Workbench) -> None:
    def answer(_number: int) -> tuple[int, int]:
        seq = bench.current("local/a")
        return (200, seq) if seq else (503, 0)

    with site(answer) as asked:
        ran = bench.run("deploy", "--probe", asked.url, "--probe-budget", "0", "--json")
    seen = phases(ran)
    assert seen["before"]["early"] == seen["before"]["requests"]
    assert seen["after"]["failed"] == {}
    assert seen["after"]["early"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--probe", "shop.example.com"), "it needs a URL like"),
        (("--probe", "http://127.0.0.1:1/", "--probe-rate", "0"), "rate"),
        (("--probe", "http://127.0.0.1:1/", "--probe-budget", "-1"), "--probe-budget"),
        (("--probe", "http://127.0.0.1:1/", "--probe-timeout", "9"), "timeout"),
        (("--probe", "http://127.0.0.1:1/", "--probe-header", "X Y"), "header"),
        (("--probe-budget", "0"), "needs --probe URL"),
        (("--probe-rate", "5"), "needs --probe URL"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage_and_changes_nothing(
    bench: Workbench, words: tuple[str, ...], said: str
) -> None:
    for verb in ("deploy", "rollback"):
        assert said in bench.run(verb, *words, code=2).err
    assert bench.current("local/a") == 0


def test_where_there_is_nothing_to_do_nobody_is_asked(bench: Workbench) -> None:
    with site(balanced(bench)) as asked:
        bench.run("deploy", "--dry-run", "--probe", asked.url)
        bench.run("deploy")
        assert "nothing to do" in bench.run("deploy", "--probe", asked.url).out
        assert asked.requests == 0


def test_a_deploy_that_is_stopped_reports_what_it_has_seen_and_goes_on_later(running: Workbench) -> None:
    with site(balanced(running)) as asked:
        words = ("deploy", "--probe", asked.url, "--probe-budget", "0")
        ran = running.run_and(
            lambda event: event["event"] == "bake_began", lambda process: process.send_signal(signal.SIGINT), *words
        )
        assert ran.code == 130
        assert list(phases(ran)) == ["before", "during"]
        running.run(*words)
    assert [running.current(node) for node in NODES] == [2, 2]


# ── mikoshi probe ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_alone_it_needs_no_configuration_and_exits_0_if_nothing_failed(tmp_path: Path) -> None:
    with site(lambda _: (200, 7)) as asked:
        out = Workbench(tmp_path).run("probe", asked.url, "--for", "1s", "--rate", "10").out
    assert "for 1.00 s" in out
    assert "answered by deployment 7" in out
    assert asked.requests >= 10


def test_alone_it_exits_4_if_a_request_failed(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    with site(lambda number: (503 if number == 5 else 200, 7)) as asked:
        ran = bench.run("probe", asked.url, "--for", "1s", "--header", "X-Other", "--json", code=4)
    assert phases(ran)["alone"]["failed"] == {"server_error": 1}
    assert ran.event("probed")["spans"] == []
    out = bench.run("probe", asked.url, "--for", "500ms", code=4).out
    assert "refused" in out
    assert "not known" in out


def test_alone_it_reports_when_it_is_stopped(tmp_path: Path) -> None:
    with site(lambda _: (200, 7)) as asked:
        ran = Workbench(tmp_path).run_and(
            lambda event: event["event"] == "probe_began",
            lambda process: process.send_signal(signal.SIGINT),
            "probe", asked.url, "--for", "1h",
            code=130,
        )  # fmt: skip
    assert "alone" in phases(ran)


@pytest.mark.parametrize(
    "words", [("example.com",), ("http://127.0.0.1:1/", "--for", "30"), ("http://a/", "--rate", "-1")]
)
def test_alone_what_makes_no_sense_is_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert Workbench(tmp_path).run("probe", *words, code=2).err.startswith("mikoshi: ")
