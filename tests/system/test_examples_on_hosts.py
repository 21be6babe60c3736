"""The examples on three real SSH hosts, by the command line: deployed, changed, broken and rolled back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mikoshi.testing.hosts import Host, HostKind
from tests.host_fixtures import StartHost

EXAMPLES = Path(__file__).parents[2] / "examples"
PORT = 8080
SECONDS = 60


@dataclass(frozen=True)
class Example:
    """An example, the file of it that says the version, and what makes that file fail at the start."""

    name: str
    app: str
    file: str
    broken: str
    complaint: str


PYTHON = Example("python-wsgi", "hello-python", "app.py", "import prices\n", "No module named 'prices'")
PERL = Example("perl-psgi", "hello-perl", "app.psgi", "use Prices;\n", "Can't locate Prices.pm")
NODE = Example("node-http", "hello-node", "server.mjs", 'import "./prices.mjs";\n', "Cannot find module")


@dataclass(frozen=True)
class Ran:
    code: int
    text: str


class Shop:
    """A copy of an example with an environment on the given hosts, and the command line run on it."""

    def __init__(self, example: Example, root: Path, hosts: Sequence[Host]) -> None:
        self.example, self.root, self.hosts = example, root, hosts
        self.directory = root / "app"
        shutil.copytree(EXAMPLES / example.name, self.directory)
        items = ", ".join(
            f'{{ ssh = "{host.name}", process = {{ web = {{ listen = "{host.address}:{PORT}" }} }} }}' for host in hosts
        )
        with (self.directory / "mikoshi.toml").open("a") as file:
            file.write(f'\n[env.test]\nssh = {{ config = "{hosts[0].ssh_config}" }}\nhosts = [{items}]\n')
            file.write('process = { web = { health = { within = "6s" } } }\n')

    def edit(self, change: Callable[[str], str]) -> None:
        """Change the file that says the version."""
        file = self.directory / self.example.file
        text = file.read_text()
        file.write_text(change(text))
        assert file.read_text() != text

    def mikoshi(self, *words: str, secret: str = "s3cret") -> Ran:
        """Run a command in the application's directory."""
        kinds = ("DATA", "CACHE", "STATE")
        own = {f"XDG_{kind}_HOME": str(self.root / "xdg" / kind.lower()) for kind in kinds}
        ran = subprocess.run(
            [sys.executable, "-m", "mikoshi", "-C", str(self.directory), *words],
            env={"PATH": os.environ["PATH"], "HOME": str(self.root), "SECRET_KEY": secret, "CI": "true", **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ran.returncode != 1, ran.stdout
        return Ran(ran.returncode, ran.stdout)

    def deploy(self, message: str) -> None:
        """Deploy, which has to succeed."""
        ran = self.mikoshi("deploy", "test", "-m", message)
        assert ran.code == 0, ran.text

    def answers(self, path: str = "/") -> list[str]:
        """What each host answers, in their order."""
        return [ask(host, path) for host in self.hosts]


def ask(host: Host, path: str) -> str:
    """One request; an answer that is none becomes text as well, so that an assertion shows it."""
    try:
        with urllib.request.urlopen(f"http://{host.address}:{PORT}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
            return text.strip()
    except urllib.error.URLError as error:
        return f"no answer: {error}"


@pytest.fixture
def hosts(start_host: StartHost) -> list[Host]:
    """One host where root logs in, one with sudo, one with neither."""
    return [start_host(kind) for kind in (HostKind.ROOT, HostKind.SUDO, HostKind.PLAIN)]


@pytest.mark.root
@pytest.mark.needs("sshd", "sudo", "namespaces")
@pytest.mark.parametrize(
    "example",
    [
        pytest.param(PYTHON, id="python"),
        pytest.param(PERL, id="perl", marks=pytest.mark.needs("plackup", "starlet")),
        pytest.param(NODE, id="node", marks=pytest.mark.needs("node")),
    ],
)
def test_an_example_deploys_changes_goes_back_when_broken_and_rolls_back(
    example: Example, hosts: list[Host], tmp_path: Path
) -> None:
    shop = Shop(example, tmp_path, hosts)

    shop.deploy("first")
    assert shop.answers() == ["Hello from version 1, deployment 1"] * 3
    assert shop.answers("/visits") == ["1"] * 3
    signed = shop.answers("/signed")
    assert len(set(signed)) == 1
    assert len(signed[0]) == 64

    shop.edit(lambda text: text.replace('"1"', '"2"', 1))
    shop.deploy("second")
    assert shop.answers() == ["Hello from version 2, deployment 2"] * 3
    assert shop.answers("/visits") == ["2"] * 3, "what is shared outlives deployments"

    working = (shop.directory / example.file).read_text()
    shop.edit(lambda text: text + example.broken)
    broken = shop.mikoshi("deploy", "test", "-m", "third")
    assert broken.code == 6, broken.text
    assert example.complaint in broken.text, "the application's last lines come with the failure"
    assert shop.answers() == ["Hello from version 2, deployment 2"] * 3

    shop.edit(lambda _text: working)
    assert shop.mikoshi("deploy", "test").text.count("nothing to do") == 1, "the failed one left nothing behind"

    rolled_back = shop.mikoshi("rollback", "test")
    assert rolled_back.code == 0, rolled_back.text
    assert shop.answers() == ["Hello from version 1, deployment 4"] * 3
    assert shop.answers("/visits") == ["3"] * 3

    status = shop.mikoshi("status", "test")
    assert status.code == 0, status.text
    assert len([line for line in status.text.splitlines() if line.split()[1:2] == ["4"]]) == 3, status.text


@pytest.mark.root
@pytest.mark.needs("sshd", "sudo", "namespaces")
def test_the_application_runs_as_the_user_who_logs_in_and_as_one_server_only(hosts: list[Host], tmp_path: Path) -> None:
    shop = Shop(PYTHON, tmp_path, hosts)
    for number in ("first", "second"):
        shop.deploy(number)
        shop.edit(lambda text: text + "\n")
    for host in hosts:
        listed = host.run(["ps", "-eo", "user,args"]).stdout.decode().splitlines()
        servers = [line.split()[0] for line in listed if line.endswith("python3 server.py 3")]
        assert servers == [host.user], listed
