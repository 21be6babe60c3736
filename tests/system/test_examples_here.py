"""The examples without a server: their configurations, and `bin/restart`, which three of them share."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mikoshi.config.configuration import load

EXAMPLES = Path(__file__).parents[2] / "examples"
DIRECTORIES = sorted(path.parent for path in EXAMPLES.glob("*/mikoshi.toml"))
RESTART = EXAMPLES / "python-wsgi" / "bin" / "restart"
SECONDS = 30.0


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_an_examples_configuration_has_no_problem_and_can_be_tried_on_this_machine(directory: Path) -> None:
    configuration = load(directory)
    assert configuration.check() == []
    assert configuration.environments == ("production", "local")
    assert all(host.address.local for host in configuration.environment("local").hosts)
    assert (directory / "README.md").read_text().startswith("# ")


def test_the_examples_are_the_ones_that_the_overview_names() -> None:
    overview = (EXAMPLES / "README.md").read_text()
    assert len(DIRECTORIES) == 4
    assert all(f"({directory.name}/README.md)" in overview for directory in DIRECTORIES)


def test_the_examples_with_a_server_restart_it_in_one_and_the_same_way() -> None:
    scripts = sorted(EXAMPLES.glob("*/bin/restart"))
    assert len(scripts) == 3
    assert {script.read_text() for script in scripts} == {RESTART.read_text()}
    assert all(os.access(script, os.X_OK) for script in scripts)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Servers:
    """What `bin/restart` starts, with a shared directory of its own."""

    def __init__(self, shared: Path) -> None:
        self.shared = shared
        self.state = shared / "var" / "web.lock"
        self.state.parent.mkdir(parents=True)

    def restart(self, *command: str) -> None:
        """Run the script to its end."""
        environment = {"PATH": os.environ["PATH"], "MIKOSHI_SHARED": str(self.shared)}
        subprocess.run([str(RESTART), *command], env=environment, check=True, timeout=SECONDS)

    def group(self) -> int:
        """The process group of the server that runs."""
        wait_until(lambda: self.state.read_text().strip().isdigit())
        return int(self.state.read_text())


def alive(group: int) -> bool:
    """Whether a process of the group runs; a zombie does not."""
    found = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return any(line.split()[0] == str(group) and "Z" not in line.split()[1] for line in found.splitlines())


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    if not shutil.which("flock"):
        pytest.skip("needs flock: the examples' restart script is for Linux")
    servers = Servers(tmp_path / "shared")
    yield servers
    servers.restart()


@pytest.mark.needs("ps")
def test_restart_ends_the_old_server_with_all_its_processes_before_the_new_one_starts(servers: Servers) -> None:
    servers.restart("sh", "-c", "sleep 1000 & sleep 1000")
    old = servers.group()
    servers.restart("sleep", "1000")
    assert not alive(old)
    new = servers.group()
    assert alive(new)
    servers.restart()
    assert not alive(new)


@pytest.mark.needs("ps")
def test_restart_never_signals_a_process_whose_number_the_state_file_happens_to_hold(servers: Servers) -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        servers.state.write_text(f"{stranger.pid}\n")
        servers.restart("sleep", "1000")
        assert stranger.poll() is None
        assert servers.group() != stranger.pid
        stranger.kill()


@pytest.mark.needs("ps")
def test_restart_kills_a_server_that_does_not_listen_to_term(servers: Servers) -> None:
    sign = servers.shared / "deaf"
    servers.restart("sh", "-c", f'trap "" TERM; touch "{sign}"; exec sleep 1000')
    wait_until(sign.exists)
    old = servers.group()
    servers.restart("sleep", "1000")
    assert not alive(old)


@pytest.mark.needs("ps")
def test_restart_works_after_the_server_was_killed(servers: Servers) -> None:
    servers.restart("sleep", "1000")
    os.killpg(servers.group(), signal.SIGKILL)
    servers.restart("sleep", "1000")
    assert alive(servers.group())
