"""The installer's rules, called where they run: on a directory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mikoshi.adapters.transports import installer
from tests.contract.stand_in import stand_in

ENGINE = stand_in()
OLD = time.time() - 2 * installer.DAY


def add(directory: Path, name: str, changed: float) -> None:
    (directory / name).mkdir()
    (directory / name / "python").write_text("x\n")
    os.utime(directory / name, (changed, changed))


def test_it_needs_no_more_than_python_3_9() -> None:
    vermin = Path(sys.executable).with_name("vermin")
    command = [str(vermin), "--no-tips", "--violations", "-t=3.9-", installer.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_an_install_is_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    directory = tmp_path / "cache" / "engine"
    engine = installer.install(directory, ENGINE.digest, ENGINE.content)
    assert os.listdir(directory) == [ENGINE.digest]
    assert (engine / "python").read_text() == sys.executable + "\n"
    assert len(list(engine.rglob("*.pyc"))) == len(list(engine.rglob("*.py")))


def test_a_second_install_keeps_the_first(tmp_path: Path) -> None:
    engine = installer.install(tmp_path / "engine", ENGINE.digest, ENGINE.content)
    before = engine.stat().st_ino
    assert installer.install(tmp_path / "engine", ENGINE.digest, ENGINE.content).stat().st_ino == before
    assert os.listdir(tmp_path / "engine") == [ENGINE.digest]


def test_an_engine_whose_interpreter_has_gone_gets_this_one(tmp_path: Path) -> None:
    engine = installer.install(tmp_path / "engine", ENGINE.digest, ENGINE.content)
    (engine / "python").write_text("/gone/python3\n")
    installer.install(tmp_path / "engine", ENGINE.digest, ENGINE.content)
    assert (engine / "python").read_text() == sys.executable + "\n"


def test_the_newest_engines_and_all_of_the_last_day_are_kept(tmp_path: Path) -> None:
    directory = tmp_path / "engine"
    directory.mkdir(mode=0o700)
    for age, name in enumerate(["newest", "newer", "old", "oldest"]):
        add(directory, name, OLD - age)
    add(directory, ".new-broken-off", OLD)
    add(directory, ".new-at-work", time.time())
    installer.install(directory, ENGINE.digest, ENGINE.content)
    assert sorted(os.listdir(directory)) == sorted([".new-at-work", ENGINE.digest, "newer", "newest"])
    for number in range(5):
        add(directory, f"today{number}", time.time())
    installer.prune(directory, ENGINE.digest)
    assert len([name for name in os.listdir(directory) if name.startswith("today")]) == 5


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o720])
def test_a_directory_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine").chmod(mode)
    with pytest.raises(installer.Unusable):
        installer.install(tmp_path / "engine", ENGINE.digest, ENGINE.content)


def test_a_link_in_the_directorys_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "engine").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(installer.Unusable):
        installer.install(tmp_path / "engine", ENGINE.digest, ENGINE.content)
    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("wire", [b"", b"not zlib", ENGINE.wire[:-1], stand_in("other").wire])
def test_an_archive_that_is_not_the_announced_one_is_refused(wire: bytes) -> None:
    assert installer.unpacked(wire, ENGINE.digest) is None


def test_the_archive_itself_is_taken() -> None:
    assert installer.unpacked(ENGINE.wire, ENGINE.digest) == ENGINE.content
