"""Sources that cannot become a release, and wishes that cannot be fulfilled: told before any node is touched."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workbench import Workbench


@pytest.fixture
def running(tmp_path: Path) -> Workbench:
    """Version `one` on two nodes of this machine."""
    bench = Workbench(tmp_path, nodes=("local/a", "local/b"))
    bench.configure()
    bench.write({"version.txt": "one"})
    bench.run("deploy")
    bench.write({"version.txt": "two"})
    return bench


def assert_untouched(bench: Workbench) -> None:
    for node in bench.nodes:
        assert bench.content(node, "version.txt") == "one"
        assert os.listdir(bench.place(node) / "deployments") == ["1"]


def git(bench: Workbench, *arguments: str) -> None:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *identity, *arguments], cwd=bench.app, check=True, capture_output=True)


def link_out(app: Path) -> None:
    (app / "escape").symlink_to("/etc/passwd")


def link_up(app: Path) -> None:
    (app / "sub").mkdir()
    (app / "sub/up").symlink_to("../../outside")


def name_in_latin1(app: Path) -> None:
    (Path(os.fsdecode(os.fsencode(app) + b"/caf\xe9.txt"))).write_text("coffee")


@pytest.mark.parametrize(
    ("spoil", "said", "remedy"),
    [
        (link_out, "the link escape points out of the release: /etc/passwd", "Make it relative"),
        (link_up, "the link sub/up points out of the release: ../../outside", "Make it relative"),
        (name_in_latin1, r"the file name caf\xe9.txt is not UTF-8", "Rename it"),
        (lambda app: os.mkfifo(app / "queue"), "queue cannot be packed", "Exclude it in .mikoshiignore"),
    ],
    ids=["link to /", "link upwards", "name", "pipe"],
)
def test_what_cannot_be_packed_is_named_and_nothing_is_touched(
    running: Workbench, spoil: Callable[[Path], object], said: str, remedy: str
) -> None:
    spoil(running.app)
    ran = running.run("deploy", code=5)
    assert said in ran.err
    assert remedy in ran.err
    assert_untouched(running)
    running.write({".mikoshiignore": "escape\nsub/\ncaf*\nqueue\n"})
    running.run("deploy")
    assert running.content("local/a", "version.txt") == "two"


def test_missing_secrets_are_named_with_where_they_were_looked_for(running: Workbench) -> None:
    running.configure('secrets = ["DATABASE_URL", "SECRET_KEY"]')
    running.env["SECRET_KEY"] = "given"
    ran = running.run("deploy", code=2)
    assert "these secrets have no value: DATABASE_URL" in ran.err
    assert ".mikoshi/secrets.production (not there)" in ran.err
    assert_untouched(running)
    running.env["DATABASE_URL"] = "given too"
    running.run("deploy")


@pytest.mark.needs("git")
def test_an_unknown_ref_is_refused_and_a_known_one_deployed(running: Workbench) -> None:
    git(running, "init")
    git(running, "add", ".")
    git(running, "commit", "-m", "two")
    ran = running.run("deploy", "--ref", "nowhere", code=2)
    assert "git knows no 'nowhere' here" in ran.err
    assert "Name a branch, tag or commit" in ran.err
    assert_untouched(running)
    running.write({"version.txt": "not committed"})
    running.run("deploy", "--ref", "main")
    assert running.content("local/b", "version.txt") == "two"


@pytest.mark.needs("git")
def test_a_dirty_work_tree_is_refused_where_only_commits_may_go(running: Workbench) -> None:
    running.configure('source = "clean"')
    git(running, "init")
    git(running, "add", ".")
    git(running, "commit", "-m", "one")
    running.write({"version.txt": "not committed"})
    ran = running.run("deploy", code=2)
    assert "changes that are not committed: version.txt" in ran.err
    assert "mikoshi deploy --ref HEAD" in ran.err
    assert_untouched(running)
    git(running, "commit", "-am", "two")
    running.run("deploy")
    assert running.content("local/a", "version.txt") == "not committed"


def test_a_file_that_changes_while_it_is_packed_is_never_deployed_torn(running: Workbench) -> None:
    """A writer goes over a file again and again, each time with another letter.

    At any one moment the file changes its letter at most once; a copy with more changes was never the file.
    """
    ended = threading.Event()
    file = running.app / "busy.txt"
    size = 2 << 20

    def write() -> None:
        turn = 0
        while not ended.is_set():
            with file.open("r+b", buffering=0) as stream:
                for _ in range(size >> 16):
                    stream.write(b"ab"[turn % 2 : turn % 2 + 1] * (1 << 16))
            turn += 1

    file.write_bytes(b"a" * size)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        ran = running.run("deploy", code=None)
    finally:
        ended.set()
        writer.join()
    if ran.code == 0:
        packed = running.content("local/a", "busy.txt")
        assert packed.count("ab") + packed.count("ba") <= 1
    else:
        assert ran.code == 5
        assert "busy.txt kept changing while it was packed" in ran.err
        assert "Stop what writes it, or exclude it" in ran.err
        assert_untouched(running)
    running.run("deploy")
    for node in running.nodes:
        assert running.content(node, "busy.txt") == file.read_text()
