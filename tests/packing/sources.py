"""Source trees, git repositories and packs for the tests of packing."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mikoshi.config.model import BuildStep, ReleaseConfig
from mikoshi.packing.library import Library
from mikoshi.packing.pack import Occasion, Packed, Source, pack
from mikoshi.packing.progress import Progress

LONG_AGO = 1_000_000_000


def write_tree(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files (a path that ends in "/" is an empty directory) below `root`."""
    for path, content in files.items():
        target = root / path
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def git(directory: Path, *arguments: str) -> str:
    """Run git without any of the machine's own settings; what it prints."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.com",
    }
    command = ["git", "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(
        command, cwd=directory, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit_all(directory: Path) -> str:
    """Commit everything, in a repository that is made if need be; the commit's id."""
    if not (directory / ".git").exists():
        git(directory, "init", "--quiet")
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--allow-empty", "--message", "a change")
    return git(directory, "rev-parse", "HEAD")


@dataclass
class Packing:
    """Packs with one library and one cache, and collects the progress."""

    source: Path
    root: Path
    heard: list[Progress] = field(default_factory=list)

    @property
    def library(self) -> Library:
        """The library, opened anew."""
        return Library(self.root / "library")

    def pack(
        self,
        *steps: BuildStep,
        ref: str = "",
        clean: bool = False,
        exclude: tuple[str, ...] = (),
        shared: tuple[str, ...] = (),
        at: float = 1000.0,
        environment: str = "production",
        message: str = "",
    ) -> Packed:
        """One pack."""
        return pack(
            Source(self.source, ref, clean),
            ReleaseConfig(exclude=exclude, build=steps),
            shared,
            Occasion("shop", environment, "mika", at, message),
            self.library,
            self.root / "cache",
            self.heard.append,
        )


def assert_ended(pids: Path) -> None:
    """None of the processes whose numbers stand in a file is left; an ended one may take a moment to be reaped."""
    deadline = time.monotonic() + 10
    left = [int(pid) for pid in pids.read_text().split()]
    assert left
    while left := [pid for pid in left if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"{left} still run"
        time.sleep(0.01)


def paths(packed: Packed) -> list[str]:
    """The paths of everything in a release."""
    return [entry.path for entry in packed.manifest.entries]
