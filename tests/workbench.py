"""An application in a scratch directory, nodes on this machine, and the real command line run on them.

The nodes are directories here; tests/system/bench.py has the same workbench over SSH hosts.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 60


@dataclass(frozen=True)
class Ran:
    """One finished command."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of standard output as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    def event(self, name: str) -> dict[str, Any]:
        """The last event of that name."""
        return self.all_events(name)[-1]

    def all_events(self, name: str) -> list[dict[str, Any]]:
        """Every event of that name, in order."""
        return [event for event in self.events if event.get("event") == name]


@dataclass
class Workbench:
    """An application with the environment `production` on local nodes, everything below `root`."""

    root: Path
    nodes: Sequence[str] = ("local/a", "local/b", "local/c")
    env: dict[str, str] = field(default_factory=dict)
    name: str = "shop"
    program: Sequence[str] = (sys.executable, "-m", "mikoshi")

    def __post_init__(self) -> None:
        self.app.mkdir(parents=True, exist_ok=True)

    @property
    def app(self) -> Path:
        """The application's directory."""
        return self.root / "app"

    def configure(self, body: str = "", hosts: str = "") -> None:
        """Write mikoshi.toml; `body` goes into [env.production] and what follows it."""
        listed = hosts or ", ".join(json.dumps(node) for node in self.nodes)
        text = f'app = "{self.name}"\n[env.production]\nstyle = "push"\nhosts = [{listed}]\n{self.access()}\n{body}\n'
        (self.app / "mikoshi.toml").write_text(text)

    def access(self) -> str:
        """The lines of [env.production] that say where on the nodes, and how they are reached."""
        return f"path = {json.dumps(str(self.root / 'nodes'))}"

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the application."""
        for name, text in files.items():
            file = self.app / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def environment(self) -> dict[str, str]:
        """The variables commands run with: nothing of this machine's own mikoshi is touched."""
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {f"XDG_{kind}_HOME": str(self.root / "xdg" / kind.lower()) for kind in ("DATA", "CACHE", "STATE")}
        return {**inherited, **own, "CI": "true", **self.env}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command; the caller ends it."""
        return subprocess.Popen(
            [*self.program, "-C", str(self.app), *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int | None = 0) -> Ran:
        """Run a command to its end; `code` is the exit code it must have (None: any)."""
        with self.start(*arguments) as process:
            try:
                out, err = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        ran = Ran(process.returncode, out, err)
        assert code is None or ran.code == code, f"{arguments}: exit {ran.code}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return ran

    def run_and(
        self,
        wanted: Callable[[dict[str, Any]], bool],
        act: Callable[[subprocess.Popen[str]], object],
        *arguments: str,
        code: int | None = None,
    ) -> Ran:
        """Run a command with --json, and `act` once, at the first event that is `wanted`; fails if none is."""
        lines: list[str] = []
        acted = False
        with self.start(*arguments, "--json") as process:
            try:
                assert process.stdout is not None
                assert process.stderr is not None
                for line in process.stdout:
                    lines.append(line)
                    if not acted and wanted(json.loads(line)):
                        acted = True
                        act(process)
                err = process.stderr.read()
                process.wait(SECONDS)
            finally:
                process.kill()
        ran = Ran(process.returncode, "".join(lines), err)
        assert acted, f"the event never came\n{ran.out}\n{ran.err}"
        assert code is None or ran.code == code, f"{arguments}: exit {ran.code}\n{ran.out}\n{err}"
        assert "Traceback" not in err, err
        return ran

    def kill_at(self, wanted: Callable[[dict[str, Any]], bool], *arguments: str) -> list[dict[str, Any]]:
        """Run a command with --json and kill -9 it when an event is `wanted`; the events up to there.

        An empty list if it ended before such an event.
        """
        with self.start(*arguments, "--json") as process:
            assert process.stdout is not None
            seen: list[dict[str, Any]] = []
            for line in process.stdout:
                seen.append(json.loads(line))
                if wanted(seen[-1]):
                    process.send_signal(signal.SIGKILL)
                    process.wait(SECONDS)
                    return seen
            process.wait(SECONDS)
        return []

    def place(self, node: str) -> Path:
        """The environment's directory on a node."""
        return self.root / "nodes" / node.removeprefix("local/") / self.name / "production"

    def current(self, node: str) -> int:
        """The number of what runs on a node, 0 for nothing."""
        link = self.place(node) / "current"
        return int(os.readlink(link).split("/")[1]) if link.is_symlink() else 0

    def content(self, node: str, name: str) -> str:
        """A file of what runs on a node."""
        return (self.place(node) / "current" / name).read_text()

    def shared(self, node: str, name: str) -> str:
        """A file that hooks wrote into shared/, "" if there is none."""
        file = self.place(node) / "shared" / name
        return file.read_text() if file.exists() else ""
