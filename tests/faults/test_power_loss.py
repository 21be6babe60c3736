"""The power fails after any change the engine made: what is left is always the old deployment or the new one, whole.

A deploy is recorded once. Every prefix of what it did is replayed with everything un-synced lost, and prefixes with
chosen parts of it kept; then an engine looks, and deploys again.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mikoshi.core import messages
from mikoshi.core.deployment import Settings
from mikoshi.node.deployments import Deployments
from mikoshi.node.files import Files
from mikoshi.node.fingerprints import Fingerprints
from mikoshi.node.journal import Journal
from mikoshi.node.paths import EnvironmentPaths
from mikoshi.node.verify import differences
from tests.faults.disk import Choice, Disk
from tests.node.client import APP, ENV, Engine, build
from tests.node.in_process import InProcessEngine

SETTINGS = Settings(hooks={"before_activate": {"run": "true", "within": 20}}, shared=("media/",))
LARGE = random.Random(7).randbytes(40_000)
FIRST = build({"app": b"one", "lib/same": b"same", "big": LARGE}, piece=10_000)
SECOND = build(
    {"app": b"two", "lib/same": b"same", "lib/new": b"new", "big": LARGE[:25_000] + b"!" * 10 + LARGE[25_000:]},
    links={"latest": "lib/new"},
    directories=["empty"],
    piece=10_000,
)


@dataclass(frozen=True)
class Recording:
    """The state before a deploy, and everything the deploy did to the file system."""

    before: Path
    root: Path
    operations: list[list[Any]]


@pytest.fixture(scope="module", params=["first", "second"])
def recording(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """A first deploy into an empty directory, and a second one that prunes the first's predecessor."""
    directory = tmp_path_factory.mktemp("recording")
    root, log = directory / "root", directory / "log"
    root.mkdir()
    if request.param == "second":
        with Engine() as engine:
            engine.begin(root)
            for seq in (1, 2, 3):
                engine.deploy(seq, FIRST, seq - 1, SETTINGS)
    shutil.copytree(root, directory / "before", symlinks=True)
    with Engine((sys.executable, "-X", "utf8", "-m", "tests.faults.recording_engine", str(log))) as engine:
        engine.begin(root)
        engine.deploy(4, SECOND, 3 if request.param == "second" else 0, SETTINGS, keep=1)
    operations = [json.loads(line) for line in log.read_text().splitlines()]
    return Recording(directory / "before", root, operations)


def lose_power(recording: Recording, count: int, survives: Choice, target: Path) -> None:
    """The directory as it is found when the power fails after `count` operations."""
    disk = Disk(recording.before)
    disk.relocate(recording.root)
    for operation in recording.operations[:count]:
        disk.apply(operation)
    disk.write_to(target, survives)


def check(target: Path) -> None:
    """What holds whenever the power fails."""
    paths = EnvironmentPaths(str(target), APP, ENV)
    deployments = Deployments(paths)
    current = deployments.current()
    if Journal(paths.journal, Files()).state.verdicts.get(4) == "done":
        assert current == 4  # what was answered for is on the disk
    if current:
        assert deployments.staged(current).seq == current
        tree = deployments.paths(current).tree
        assert differences(deployments.layout(current), tree, Fingerprints()) == []
        assert Path(paths.current, "app").read_bytes() == (b"two" if current == 4 else b"one")
    with InProcessEngine() as engine:
        assert engine.begin(target).current == current
        engine.deploy(4, SECOND, current if current != 4 else 0, SETTINGS, keep=1)
        view = engine.hello(target)
        assert engine.call(messages.Revert(4)) == {"changed": False}
    assert (view.current, view.interrupted) == (4, "")
    assert [kept.seq for kept in view.kept][-1] == 4
    assert differences(deployments.layout(4), deployments.paths(4).tree, Fingerprints()) == []
    assert not os.path.exists(deployments.paths(4).partial)
    if current in (1, 2, 3):
        assert 3 in [kept.seq for kept in view.kept]


def content_of(top: Path) -> frozenset[tuple[str, int, bytes]]:
    """A directory's content as a value: two losses that leave the same need one check."""
    return frozenset(
        (str(path.relative_to(top)), path.lstat().st_mode, _bytes_of(path)) for path in sorted(top.rglob("*"))
    )


def _bytes_of(path: Path) -> bytes:
    if path.is_symlink():
        return str(path.readlink()).encode()
    return path.read_bytes() if path.is_file() else b""


@pytest.mark.parametrize("kept", [False, True])
def test_every_prefix_with_everything_unsynced_lost_or_kept(recording: Recording, tmp_path: Path, kept: bool) -> None:
    seen = set()
    for count in range(len(recording.operations) + 1):
        target = tmp_path / str(count)
        lose_power(recording, count, lambda: kept, target)
        content = content_of(target)
        if content not in seen:
            check(target)
        seen.add(content)
    assert len(seen) > 10


@settings(max_examples=40)
@given(fraction=st.floats(0, 1), seed=st.integers(0, 1 << 30), share=st.floats(0.05, 0.95))
def test_any_part_of_what_was_unsynced_lost(
    recording: Recording, tmp_path_factory: pytest.TempPathFactory, fraction: float, seed: int, share: float
) -> None:
    target = tmp_path_factory.mktemp("lost") / "root"
    chance = random.Random(seed)
    lose_power(recording, round(fraction * len(recording.operations)), lambda: chance.random() < share, target)
    check(target)


def test_the_recording_is_a_whole_deploy(recording: Recording, tmp_path: Path) -> None:
    kinds = {operation[0] for operation in recording.operations}
    assert kinds >= {"create", "write", "append", "sync", "rename", "symlink", "mkdir", "chmod", "unlink"}
    lose_power(recording, len(recording.operations), lambda: True, tmp_path / "root")
    for one, other in itertools.pairwise([recording.root, tmp_path / "root"]):
        names = [sorted(str(path.relative_to(top)) for path in top.rglob("*")) for top in (one, other)]
        known = ("log", "lease.lock")
        left, right = ([name for name in found if not any(word in name for word in known)] for found in names)
        assert left == right
