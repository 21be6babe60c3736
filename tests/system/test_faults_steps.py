"""Builds, hooks, restarts and health checks that fail on three hosts: the exit code, what is said, what runs then."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.system.bench import SshBench, at

pytestmark = [pytest.mark.root, pytest.mark.needs("sshd", "namespaces")]

WAVES = 'rollout = { first = 1, step = 1 }\nshared = ["log/"]'


class Website:
    """Stands for the application's server on every host: they share this machine's network. `status` is its answer."""

    def __init__(self) -> None:
        self.status: Callable[[], int] = lambda: 200
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(site.status())
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def process(self) -> str:
        """The section of mikoshi.toml that says where it listens."""
        health = 'health = { path = "/up", within = "1s" }'
        return f"[process.web]\nlisten = {self.port}\n{health}"

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def website() -> Iterator[Website]:
    site = Website()
    yield site
    site.close()


def deployed(bench: SshBench, body: str = WAVES) -> SshBench:
    """The bench with version `one` running, and `two` about to be deployed."""
    bench.configure(body)
    bench.write({"version.txt": "one"})
    bench.run("deploy")
    bench.write({"version.txt": "two"})
    return bench


def all_run(bench: SshBench, version: str) -> bool:
    return bench.contents() == dict.fromkeys(bench.nodes, version)


def test_a_failing_build_touches_no_host(bench: SshBench) -> None:
    deployed(bench)
    build = '[[release.build]]\nrun = "echo compiling the thing; exit 3"'
    bench.configure(f"{WAVES}\n{build}")
    ran = bench.run("deploy", code=5)
    assert "the build step `echo compiling the thing; exit 3` ended with status 3" in ran.err
    assert "  compiling the thing" in ran.err
    assert "No node was touched." in ran.err
    assert all_run(bench, "one")
    assert all(not (bench.place(node) / "deployments/2").exists() for node in bench.nodes)
    bench.configure(WAVES)
    bench.run("deploy")
    assert all_run(bench, "two")


MIGRATE = "echo migrating; ${FINE:-false} || grep -q one version.txt"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (f'hooks = {{ before_activate = "{MIGRATE}" }}', "before_activate ended with status 1"),
        (f'hooks = {{ after_activate = "{MIGRATE}" }}', "after_activate ended with status 1"),
        (
            f'hooks = {{ before_activate = {{ run = "{MIGRATE} || sleep 60", within = "1s" }} }}',
            "before_activate ran longer than 1.0 s and was stopped",
        ),
        (f'restart = "{MIGRATE}"', "restart ended with status 1"),
    ],
    ids=["hook", "hook-after", "timeout", "restart"],
)
def test_a_step_that_fails_in_the_second_wave_brings_the_first_one_back(bench: SshBench, body: str, said: str) -> None:
    first, second, third = bench.nodes
    hosts = f'{{ ssh = "{first}", vars = {{ FINE = "true" }} }}, "{second}", "{third}"'
    bench.configure(f"{WAVES}\n{body}", hosts)
    bench.write({"version.txt": "one"})
    bench.run("deploy")
    bench.write({"version.txt": "two"})
    ran = bench.run("deploy", "--json", code=6)
    assert [event["node"] for event in ran.all_events("node_flipped")] == [first]
    assert [event["node"] for event in ran.all_events("node_failed")] == [second]
    assert [event["node"] for event in ran.all_events("node_reverted")] == [first]
    assert f"{second}: {said}" in ran.err
    assert "│ migrating" in ran.err
    assert "every node that had changed went back. Deployment 1 runs." in ran.err
    assert all_run(bench, "one")
    history = json.loads(bench.run("history", "--json").out)
    assert [entry["result"] for entry in history] == ["done", "failed"]
    bench.configure(WAVES, hosts)
    bench.run("deploy")
    assert all_run(bench, "two")


def test_an_application_that_never_gets_healthy_goes_back(bench: SshBench, website: Website) -> None:
    website.status = lambda: 503 if "two" in bench.contents().values() else 200
    deployed(bench, f'restart = "echo starting"\n{WAVES}\n{website.process}')
    ran = bench.run("deploy", "--json", code=6)
    assert not ran.all_events("node_flipped")
    node = bench.nodes[0]
    assert f"{node}: web is not healthy after 1.0 s: http://127.0.0.1:{website.port}/up answers 503" in ran.err
    assert "│ starting" in ran.err
    assert all_run(bench, "one")


def test_an_application_that_dies_while_it_is_watched_goes_back(bench: SshBench, website: Website) -> None:
    deployed(bench, f'rollout = {{ first = 2, bake = "100ms" }}\n{website.process}')

    def die(_: object) -> None:
        website.status = lambda: 503 if "two" in bench.contents().values() else 200

    ran = bench.run_and(at("bake_began"), die, "deploy", code=6)
    assert {event["node"] for event in ran.all_events("node_flipped")} == set(bench.nodes[:2])
    assert {event["node"] for event in ran.all_events("node_reverted")} == set(bench.nodes[:2])
    assert "web is not healthy" in ran.err
    assert all_run(bench, "one")


def test_a_first_deploy_that_fails_leaves_nothing_running(bench: SshBench) -> None:
    bench.configure(f'{WAVES}\nhooks = {{ after_activate = "test $(hostname) = {bench.nodes[0]}" }}')
    bench.write({"version.txt": "one"})
    ran = bench.run("deploy", code=6)
    assert "going back from deployment 1 to nothing: there was no deployment before" in ran.out
    assert all(not (bench.place(node) / "current").is_symlink() for node in bench.nodes)
    bench.configure(WAVES)
    bench.run("deploy")
    assert all_run(bench, "one")


def test_a_failure_within_the_budget_is_left_behind_and_tried_again(bench: SshBench) -> None:
    hook = 'hooks = { before_activate = "grep -q one version.txt || test -e $MIKOSHI_SHARED/log/mended" }'
    body = 'rollout = { first = 1, step = 1, max_failures = 1 }\nshared = ["log/"]\n'
    deployed(bench, body + hook)
    failing = bench.nodes[1]
    for node in bench.nodes:
        if node != failing:
            (bench.place(node) / "shared/log/mended").touch()
    ran = bench.run("deploy")
    assert f"{failing.ljust(max(map(len, bench.nodes)))}  note: left behind within the failure budget" in ran.out
    assert bench.contents() == {bench.nodes[0]: "two", failing: "one", bench.nodes[2]: "two"}
    status = {node["node"]: node["behind"] for node in bench.run("status", "--json").events[0]["nodes"]}
    assert status == {bench.nodes[0]: False, failing: True, bench.nodes[2]: False}
    (bench.place(failing) / "shared/log/mended").touch()
    again = bench.run("deploy", "--json")
    assert [event["node"] for event in again.all_events("node_flipped")] == [failing]
    assert all_run(bench, "two")


def test_only_brings_a_host_to_what_the_fleet_runs_and_never_further(bench: SshBench) -> None:
    deployed(bench)
    behind = bench.nodes[2]
    ran = bench.run("deploy", "--only", behind, code=2)
    assert "--only brings hosts to what the fleet runs, but this would be a new deployment: release" in ran.err
    assert "Deploy to all hosts first (without --only)" in ran.err
    assert all_run(bench, "one")
    assert f"'elsewhere' is not a host of this environment\n  Its hosts are: {', '.join(bench.nodes)}." in (
        bench.run("deploy", "--only", "elsewhere", code=2).err
    )
    bench.write({"version.txt": "one"})
    (bench.place(behind) / "current").unlink()
    brought = bench.run("deploy", "--only", behind, "--json")
    assert [event["node"] for event in brought.all_events("node_flipped")] == [behind]
    assert all_run(bench, "one")


def test_two_names_for_one_machine_are_refused(bench: SshBench) -> None:
    deployed(bench)
    first = bench.hosts[0]
    config = first.ssh_config.read_text()
    bench.ssh = bench.root / "ssh_config"
    bench.ssh.write_text(re.sub(rf"^(Host .*\b{first.name}\b)", r"\1 twin", config, flags=re.MULTILINE))
    bench.configure(WAVES, f'"{first.name}", "twin"')
    ran = bench.run("deploy", code=2)
    assert f"{first.name} and twin are one machine and one directory" in ran.err
    assert "Remove one of the two from `hosts`" in ran.err
    assert all_run(bench, "one")
