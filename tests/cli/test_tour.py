"""`mikoshi tour`, run as a person runs it: what it prints, what it writes, and that nothing is left running."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mikoshi.cli.main import main
from mikoshi.cli.touring import chapters, push
from mikoshi.cli.touring.chapters import Chapter
from mikoshi.cli.touring.ground import Ground, free_ports
from mikoshi.cli.touring.lack import Lack
from mikoshi.cli.touring.story import Astray
from mikoshi.cli.touring.watch import Answer, Seen, Watch, ask
from mikoshi.core.events import Probed, ProbedPhase

SOURCE = Path(__file__).parents[2] / "src"
SECONDS = 110
NOBODY = 65534


@dataclass
class Place:
    """A directory to tour in, and a home that has to stay empty. `user` are the words that change the user."""

    root: Path
    python: str = sys.executable
    user: Sequence[str] = ()
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def work(self) -> Path:
        """Where the command runs."""
        return self.root / "work"

    @property
    def demo(self) -> Path:
        """What the tour makes there."""
        return self.work / ".demo"

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a tour; the fixture ends it."""
        packages = os.pathsep.join([str(SOURCE), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.root / "home"), "PYTHONPATH": packages,
            "PYTHONDONTWRITEBYTECODE": "1", "MIKOSHI_ENV": "nowhere", "TMPDIR": str(self.root / "tmp"),
        }  # fmt: skip
        process = subprocess.Popen(
            [*self.user, self.python, "-m", "mikoshi", "tour", *words],
            cwd=self.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        return process

    def run(self, *words: str) -> str:
        """Run a tour to its good end; what it printed."""
        process = self.start(*words)
        printed, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, printed
        return printed

    def processes(self) -> list[str]:
        """The processes that have to do with this place, by their directory or environment."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                where = os.readlink(entry / "cwd")
                told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended, or is not ours to see
            if int(entry.name) != os.getpid() and (
                where.startswith(f"{self.root}/") or f"{self.demo}".encode() in told
            ):
                found.append(f"{entry.name} in {where}: {told!r}")
        return found

    def check_nothing_is_left_running(self) -> None:
        """What a killed tour was in the middle of may take a moment to end."""
        deadline = time.monotonic() + 30
        while found := self.processes():
            assert time.monotonic() < deadline, found
            time.sleep(0.05)


def make_place(root: Path, python: str = sys.executable, user: Sequence[str] = ()) -> Place:
    for name in ("work", "home", "tmp"):
        (root / name).mkdir()
    return Place(root, python, user)


@contextlib.contextmanager
def ending(place: Place) -> Iterator[Place]:
    """Leave nothing behind, whatever the test found."""
    try:
        yield place
    finally:
        for process in place.running:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=SECONDS)
        if place.demo.exists():
            place.run("--end")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ending(make_place(tmp_path)) as made:
        yield made


def urls(printed: str) -> list[str]:
    """The addresses of the nodes."""
    return sorted(set(re.findall(r"http://127\.0\.0\.1:\d+(?=  web)", printed)))


def check_story(printed: str) -> None:
    """Everything that a person is to see, in order; in a plain log without colours."""
    assert "\x1b" not in printed
    answers = r"none +[\d.]+ ms"
    story = [
        r"\$ mikoshi deploy -m \"first version\"", "deployment 1 runs", r"web3: The shop, version 1  \(deployment 1\)",
        r"-VERSION = \"1\"", r"\+VERSION = \"2\"", "probing http://127", "wave 2: local/web2, local/web3",
        "probe of http", r"before +\d+ +0 +[\d.]+ ms", r"during +\d+ +0 +[\d.]+ ms", r"after +\d+ +0 +[\d.]+ ms",
        r"answered by deployment 1 until .*then 2", "deployment 2 runs", rf"web1 +\d+ +1: \d+, 2: \d+ +{answers}",
        r"web1: The shop, version 2  \(deployment 2\)", "No request went unanswered",
        r"\+VERSION = \"3\"", "deployment 3 runs", "deployment 4 runs", r"\+VERSION = \"5\"", "deployment 5 runs",
        rf"web3 +\d+ +2: \d+, 3: \d+, 4: \d+, 5: \d+ +{answers}", r"web3: The shop, version 5  \(deployment 5\)",
        r"[\d,]+ requests, 0\s+without\s+an\s+answer", r"\+import discounts", "on trial",
        "going back from deployment 6", "No module named 'discounts'", r"\(exit code 6\)",
        rf"web1 +\d+ +5: \d+ +{answers}",
        r"web1: The shop, version 5  \(deployment 5\)", r"\$ mikoshi rollback", "deployment 7 runs",
        rf"web2 +\d+ +5: \d+, 7: \d+ +{answers}",
        r"web2: The shop, version 4  \(deployment 7\)", r"\$ mikoshi status", r"\$ mikoshi history",
        r"6 .*deploy +5 → 5 .*failed", r"7 .*rollback +5 → 7 .*done",
        r"first version +20\d +\d+ KB +0 B +[\d.]+ s", r"a change +1 +\d.* KB +\d+ KB", "rollback +0 +0 B +",
    ]  # fmt: skip
    at = 0
    for part in story:
        found = re.compile(part).search(printed, at)
        assert found, f"{part!r} is not in what follows:\n{printed[at:]}"
        at = found.start()


def check_traces(place: Place) -> None:
    """Nothing was written but .demo."""
    assert [path.name for path in place.work.iterdir()] == [".demo"]
    assert list((place.root / "home").iterdir()) == []
    assert list((place.root / "tmp").iterdir()) == []


def test_the_tour_tells_its_story_and_what_is_kept_running_can_be_ended(place: Place) -> None:
    printed = place.run("--keep")
    check_story(printed)
    check_traces(place)
    assert len(urls(printed)) == 3
    for url in urls(printed):
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.read() == b"The shop, version 4\n"
    assert "3 servers ended" in place.run("--end")
    place.check_nothing_is_left_running()
    assert "0 servers ended" in place.run("--end")


@pytest.fixture
def place_of_nobody() -> Iterator[Place]:
    """A place of a user without any right, and an interpreter that this user may run."""
    # setpriv itself may still execute what its user may not: `env` comes between.
    user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", "env")
    probe = f"import asyncio, ssl, sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    for python in dict.fromkeys((sys.executable, "/usr/bin/python3")):
        with contextlib.suppress(OSError):
            if subprocess.run([*user, python, "-c", probe], capture_output=True, check=False).returncode == 0:
                break
    else:
        pytest.skip(f"needs a Python {sys.version_info[0]}.{sys.version_info[1]} that other users may run")
    root = Path(tempfile.mkdtemp(prefix="mikoshi-tour-"))
    try:
        made = make_place(root, python, user)
        for path in (root, *root.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        with ending(made):
            yield made
    finally:
        shutil.rmtree(root)


@pytest.mark.root
def test_the_tour_needs_no_root_and_ends_what_it_started(place_of_nobody: Place) -> None:
    printed = place_of_nobody.run()
    check_story(printed)
    check_traces(place_of_nobody)
    place_of_nobody.check_nothing_is_left_running()
    for url in urls(printed):
        port = int(url.rpartition(":")[2])
        assert ask("web", port).deployment == 0
    assert {path.stat().st_uid for path in place_of_nobody.demo.rglob("*")} == {NOBODY}
    assert "0 servers ended" in place_of_nobody.run("--end")


def read_until(process: subprocess.Popen[str], part: str) -> None:
    """Read what is printed up to a line with `part`."""
    assert process.stdout is not None
    for line in process.stdout:
        if part in line:
            return
    pytest.fail(f"the tour ended without {part!r}")


@pytest.mark.parametrize(
    ("number", "part"),
    [(signal.SIGINT, "wave 1"), (signal.SIGTERM, "wave 2"), (signal.SIGHUP, "runs 2")],
)
def test_a_tour_that_is_stopped_ends_what_it_started(place: Place, number: signal.Signals, part: str) -> None:
    process = place.start()
    read_until(process, part)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, printed
    assert "every process that it had started was ended" in printed
    place.check_nothing_is_left_running()


def test_a_tour_whose_reader_has_gone_ends_what_it_started(place: Place) -> None:
    process = place.start()
    read_until(process, "runs 1")
    assert process.stdout is not None
    process.stdout.close()
    process.wait(SECONDS)
    place.running.remove(process)
    place.check_nothing_is_left_running()


@pytest.mark.parametrize("part", ["wave 1", "wave 2", "runs 2"])
def test_what_a_killed_tour_left_running_is_ended_afterwards(place: Place, part: str) -> None:
    """Each time the engines are in the middle of something, at first of starting a runner."""
    process = place.start()
    read_until(process, part)
    process.kill()
    process.communicate(timeout=SECONDS)
    assert re.search(r"\d servers? ended", place.run("--end"))
    place.check_nothing_is_left_running()
    assert "0 servers ended" in place.run("--end")


def test_a_tour_begins_anew_where_another_one_was_killed(place: Place) -> None:
    process = place.start()
    read_until(process, "wave 2")
    process.kill()
    process.communicate(timeout=SECONDS)
    again = place.start()
    read_until(again, "web3: The shop, version 1")
    again.terminate()
    again.communicate(timeout=SECONDS)
    place.check_nothing_is_left_running()


# ── in this process ────────────────────────────────────────────────────────────────────────────────────────────────


def chapter(monkeypatch: pytest.MonkeyPatch, *wanted: Chapter) -> None:
    monkeypatch.setattr(chapters, "CHAPTERS", wanted)


def nothing(_ground: Ground) -> None:
    """A chapter without a story."""


def test_what_a_machine_lacks_is_named_with_its_remedy_and_the_rest_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Ground] = []
    lacking = Chapter("Containers", lambda _ground: pytest.fail("told"), lambda: [Lack("no Docker", "Install it.")])
    chapter(monkeypatch, lacking, Chapter("Push", told.append))
    assert main(["-C", str(tmp_path), "tour"]) == 0
    assert "Left out: no Docker. Install it." in capsys.readouterr().out
    assert len(told) == 1


def test_a_step_that_goes_astray_is_exit_code_1_with_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def astray(_ground: Ground) -> None:
        raise Astray("web1 should answer with version 1")

    chapter(monkeypatch, Chapter("Push", astray))
    assert main(["-C", str(tmp_path), "tour"]) == 1
    assert "went astray: web1 should answer with version 1" in capsys.readouterr().err


def test_a_deploy_that_fails_where_it_should_not_stops_the_tour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [taken.getsockname()[1], *free_ports(2)]
        monkeypatch.setattr(push, "free_ports", lambda _count: ports)
        assert main(["-C", str(tmp_path), "tour"]) == 1
    captured = capsys.readouterr()
    assert "should have ended with exit code 0, not 6" in captured.err
    assert f"web cannot listen on 127.0.0.1:{ports[0]}" in captured.out
    Place(tmp_path).check_nothing_is_left_running()


def test_signals_and_environment_are_afterwards_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chapter(monkeypatch, Chapter("Push", nothing))
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers, variables = [signal.getsignal(number) for number in numbers], dict(os.environ)
    assert main(["-C", str(tmp_path), "tour"]) == 0
    assert [signal.getsignal(number) for number in numbers] == handlers
    assert dict(os.environ) == variables


def test_a_directory_that_no_tour_made_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "mine").write_text("mine")
    assert main(["-C", str(tmp_path), "tour"]) == 2
    assert "not made by a tour" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / ".demo").iterdir()] == ["mine"]


def test_what_an_earlier_tour_left_is_removed_read_only_directories_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chapter(monkeypatch, Chapter("Push", nothing))
    assert main(["-C", str(tmp_path), "tour"]) == 0
    tree = tmp_path / ".demo" / "nodes" / "a" / "tree"
    tree.mkdir(parents=True)
    (tree / "file").write_text("")
    (tree / "link").symlink_to(tmp_path)
    tree.chmod(0o555)
    assert main(["-C", str(tmp_path), "tour"]) == 0
    assert [path.name for path in (tmp_path / ".demo").iterdir()] == ["made-by-mikoshi-tour"]


def test_two_tours_at_once_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".demo").mkdir()
    with (tmp_path / ".demo" / "made-by-mikoshi-tour").open("w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        assert main(["-C", str(tmp_path), "tour"]) == 2
    assert "another tour is under way" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".demo").write_text("a file")
    assert main(["-C", str(tmp_path), "tour"]) == 2
    assert main(["-C", str(tmp_path / "nowhere"), "tour"]) == 2
    assert "cannot be used" in capsys.readouterr().err


def test_without_linux_it_says_so_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert main(["-C", str(tmp_path), "tour"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "Left out: servers that replace each other without a pause need Linux, and this is Darwin." in printed
    assert not (tmp_path / ".demo" / "shop").exists()


def seen(*deployments: int) -> Seen:
    """A node whose answers took longer and longer."""
    answers = [Answer("web1", float(at), seq, "page" if seq else "") for at, seq in enumerate(deployments)]
    return Seen("web1", tuple(answers))


def test_the_slowest_answer_is_one_that_came() -> None:
    assert (seen(1, 1, 2).slowest, seen(1, 1, 2).unanswered) == (2, 0)
    assert (seen(1, 0, 2, 0).slowest, seen(1, 0, 2, 0).unanswered) == (2, 2)
    assert seen(0).slowest == 0


def test_a_node_that_nobody_serves_gives_no_answer() -> None:
    (port,) = free_ports(1)
    with Watch({"web1": port}) as watch:
        assert ask("web1", port).page == ""
    assert set(watch.seen[0].by) == {0}
    assert len(watch.seen[0].answers) >= 1


def test_an_answer_of_a_version_that_should_never_be_seen_is_noticed() -> None:
    push.expect_all_answered([seen(2, 2)], {(2, "page")})
    with pytest.raises(Astray, match="should not have answered 'page' in deployment 3"):
        push.expect_all_answered([seen(2, 3, 2)], {(2, "page")})


def test_one_request_without_an_answer_leads_astray() -> None:
    with pytest.raises(Astray, match="1 of 3 had no answer"):
        push.expect_all_answered([seen(2, 2), seen(2, 0, 2)], {(2, "page")})


def probed(failed: dict[str, int]) -> Probed:
    """A probe's report."""
    phase = ProbedPhase("during", 1.0, 20, failed, 0, 0, 0, 0, 0, 0.1, 0.1, 0.1, 0.1)
    return Probed("http://127.0.0.1/", 20, "X-Deployment", (phase,), ())


def test_a_failure_that_the_probe_saw_leads_astray_and_so_does_a_probe_that_saw_nothing() -> None:
    push.expect_probed([probed({})])
    with pytest.raises(Astray, match="saw refused"):
        push.expect_probed([probed({"refused": 1})])
    with pytest.raises(Astray, match="saw nothing"):
        push.expect_probed([])
