"""What a test needs of the machine, and what happens where it is missing.

`@pytest.mark.needs("sshd", "rsync")` and `@pytest.mark.root` name requirements from the table below. Without
them a test is skipped, its reason and remedy are listed at the end of the run, and with CI=true it fails: a
test must never decide quietly not to run. That holds for every other skip as well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

SYSTEM_DIRECTORIES = "/usr/local/sbin:/usr/sbin:/sbin"
SETUP = "`make setup` as root on Debian installs it"


@dataclass(frozen=True)
class Requirement:
    """Something a machine has or has not: how to find out, and what to do about it."""

    met: Callable[[], bool]
    remedy: str


def find_program(name: str) -> str | None:
    """The path of a program, looked for where system daemons are too."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_DIRECTORIES}")


def program(name: str, remedy: str = SETUP) -> Requirement:
    """The requirement that a program is installed."""
    return Requirement(lambda: find_program(name) is not None, remedy)


def is_root() -> bool:
    """Whether the tests run as root."""
    return os.geteuid() == 0


@cache
def can_unshare() -> bool:
    """Whether this machine lets us make mount, host name and process namespaces with file systems in them."""
    unshare = find_program("unshare")
    if unshare is None:
        return False
    probe = [unshare, "-m", "-u", "-p", "-f", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False, timeout=20).returncode == 0


REQUIREMENTS = {
    "root": Requirement(is_root, "run `make test` as root"),
    "namespaces": Requirement(can_unshare, "run `make test` as root where `unshare -m -p` and mounts are allowed"),
    "starlet": Requirement(lambda: Path("/usr/share/perl5/Plack/Handler/Starlet.pm").exists(), SETUP),
    "systemd": Requirement(lambda: Path("/lib/systemd/systemd").exists(), SETUP),
    **{
        name: program(name)
        for name in (
            "git",
            "ip",
            "node",
            "perl",
            "plackup",
            "ps",
            "rsync",
            "ssh",
            "ssh-agent",
            "ssh-keygen",
            "sshd",
            "sudo",
            "systemd-analyze",
        )
    },
}


def missing(names: list[str]) -> list[str]:
    """A sentence for each requirement that this machine does not meet, with its remedy."""
    return [f"needs {name}: {REQUIREMENTS[name].remedy}" for name in names if not REQUIREMENTS[name].met()]


def required_by(item: pytest.Item) -> list[str]:
    """The names a test's marks ask for, sorted. Raises `UsageError` for a name that is not in the table."""
    names = {str(name) for mark in item.iter_markers("needs") for name in mark.args}
    if item.get_closest_marker("root"):
        names.add("root")
    unknown = sorted(names - REQUIREMENTS.keys())
    if unknown:
        raise pytest.UsageError(f"{item.nodeid}: unknown requirement {unknown[0]!r}; known: {', '.join(REQUIREMENTS)}")
    return sorted(names)


def nothing_may_be_missing() -> bool:
    """Whether this is continuous integration, where a test that does not run is a failure."""
    return os.environ.get("CI") == "true"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that collects the reasons of several runs in one file."""
    parser.addoption("--not-run", metavar="FILE", help="append the reason of each test that was not run to FILE")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", "needs(*names): what the machine must have; see tests/requirements.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse misspelt requirements before anything runs."""
    for item in items:
        required_by(item)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose requirements are not met."""
    reasons = missing(required_by(item))
    if reasons:
        pytest.skip("; ".join(reasons))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In continuous integration a skipped test is a failed one."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and nothing_may_be_missing():
        report.outcome, report.longrepr = "failed", f"not run although CI=true: {skip_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that skips itself is held to the same rule."""
    report = yield
    if report.outcome == "skipped" and nothing_may_be_missing():
        report.outcome, report.longrepr = "failed", f"not run although CI=true: {skip_reason(report)}"
    return report


def skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What a skip said of itself."""
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what was not run, by reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(skip_reason(report) for report in skipped)
    if not reasons:
        return
    terminalreporter.section("not run on this machine")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count:4} {reason}")
    path = config.getoption("--not-run")
    if path and not hasattr(config, "workerinput"):  # xdist's workers summarize too; the controller has it all
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(f"{reason}\n" for reason in reasons.elements())
