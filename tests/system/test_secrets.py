"""Canaries as secrets: they are found in no file but a deployment's env, in no output and in no process's arguments."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from pathlib import Path
from typing import Self

import pytest

from mikoshi.testing.hosts import Host, HostKind
from tests.system.bench import SshBench, commands
from tests.workbench import Ran

pytestmark = [pytest.mark.root, pytest.mark.needs("sshd", "namespaces")]

CANARIES = {"FROM_VARIABLE": f"canary-{os.getpid()}-variable", "FROM_FILE": f"canary-{os.getpid()}-file"}


def hidden_in(text: str) -> list[str]:
    return [name for name, value in CANARIES.items() if value in text]


def files_with_canary(roots: list[Path]) -> set[str]:
    """Every file below the roots that holds a canary, on the same file systems; grep, because there are many."""
    existing = [str(root) for root in roots if root.exists()]
    # The patterns come by standard input: arguments are what the other tests look at.
    patterns = "\n".join(CANARIES.values())
    grep = ["grep", "-rlaF", "-f", "-", *existing]
    found = subprocess.run(grep, input=patterns, capture_output=True, text=True, check=False)
    assert found.returncode in (0, 1), found.stderr
    return set(found.stdout.splitlines())


class Watch:
    """Samples the arguments of every process here and on the hosts while a command runs; `seen` is what it found."""

    def __init__(self, hosts: list[Host]) -> None:
        self._hosts = hosts
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.seen: set[str] = set()
        self.samples = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.03):
            self.samples += 1
            for entry in os.listdir("/proc"):
                try:
                    arguments = Path("/proc", entry, "cmdline").read_text(errors="replace") if entry.isdigit() else ""
                except OSError:
                    continue
                self.seen.update(hidden_in(arguments))


@pytest.fixture
def canary(bench: SshBench) -> SshBench:
    """An application with two secrets: one from the environment, one from the file of secrets."""
    configure(bench, hook="true")
    bench.write({"version.txt": "one", ".mikoshi/secrets.production": f"FROM_FILE={CANARIES['FROM_FILE']}\n"})
    (bench.app / ".mikoshi/secrets.production").chmod(0o600)
    bench.env["FROM_VARIABLE"] = CANARIES["FROM_VARIABLE"]
    return bench


def configure(bench: SshBench, hook: str) -> None:
    bench.configure(f'secrets = ["FROM_VARIABLE", "FROM_FILE"]\nhooks = {{ before_activate = "{hook}" }}')


def run_everything(bench: SshBench) -> list[Ran]:
    """Every verb that has anything to do with an environment, a failing deploy and an unreachable host included."""
    ran = [bench.run("deploy"), bench.run("plan")]
    bench.write({"version.txt": "two"})
    ran += [bench.run("plan", "--json"), bench.run("deploy", "--json"), bench.run("deploy", "--dry-run")]
    configure(bench, hook="exit 3")
    bench.write({"version.txt": "three"})
    ran.append(bench.run("deploy", "--json", code=6))
    ran += [bench.run("status"), bench.run("status", "--json"), bench.run("history", "--json"), bench.run("history")]
    ran += [bench.run("config", "show"), bench.run("check"), bench.run("releases", "--json")]
    ran.append(bench.run("rollback", "--json"))
    return ran


def test_secrets_stand_in_the_env_files_and_nowhere_else(canary: SshBench) -> None:
    with Watch(list(canary.hosts)) as watch:
        ran = run_everything(canary)
    for command in ran:
        assert hidden_in(command.out + command.err) == []
    assert watch.samples > 50
    assert watch.seen == set(), "a secret stood in a process's arguments"
    own = files_with_canary([canary.root])
    assert own == {str(canary.app / ".mikoshi/secrets.production")}
    for host in canary.hosts:
        deployments = canary.place(host.name) / "deployments"
        env_files = {str(directory / "env") for directory in deployments.iterdir()}
        places = [host.root / name for name in ("srv", "home", "root/.cache", "var", "tmp", "run", "etc")]
        assert files_with_canary(places) == env_files, host.name


def test_env_files_are_their_users_alone(canary: SshBench) -> None:
    canary.run("deploy")
    owner = {HostKind.ROOT: 0}
    for host in canary.hosts:
        status = (canary.place(host.name) / "deployments/1/env").stat()
        deploy = int(host.run(["id", "-u", "deploy"], check=False).stdout or 0) if host.kind is not HostKind.ROOT else 0
        assert stat.S_IMODE(status.st_mode) == 0o400
        assert status.st_uid == owner.get(host.kind, deploy)


def test_processes_get_the_values_and_a_failing_hook_that_prints_them_does_not_show_them(canary: SshBench) -> None:
    configure(canary, hook="echo got $FROM_VARIABLE and $FROM_FILE; exit 1")
    ran = canary.run("deploy", "--json", code=6)
    assert "got " in ran.err
    assert hidden_in(ran.out + ran.err) == []
    local = files_with_canary([canary.root / "xdg"])
    assert local == set()


def test_a_changed_secret_alone_is_a_new_deployment(canary: SshBench) -> None:
    canary.run("deploy")
    canary.env["FROM_VARIABLE"] = CANARIES["FROM_VARIABLE"] + "-rotated"
    plan = canary.run("plan").out
    assert "secrets.FROM_VARIABLE changed" in plan
    assert hidden_in(plan) == []
    canary.run("deploy")
    assert set(canary.contents().values()) == {"one"}
    assert {canary.current(node) for node in canary.nodes} == {2}


def test_nothing_is_left_running_that_knows_a_secret(canary: SshBench) -> None:
    canary.run("deploy")
    for host in canary.hosts:
        for pid, _ in commands(host):
            environment = Path(f"/proc/{pid}/environ").read_text(errors="replace")
            assert hidden_in(environment) == []
