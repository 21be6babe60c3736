"""A server kept by Mikoshi's runner: each version is a `mikoshi deploy`, as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.replacing.way import APPLICATIONS

PROGRAM = Path(sys.executable).with_name("mikoshi")


class DeployFailed(Exception):
    """`mikoshi deploy` did not end well; with what it printed."""


@dataclass
class WithMikoshi:
    """`command` with {fd} and {port}, as in mikoshi.toml; `files` are what it needs from bench/applications."""

    name: str
    kind: str
    command: str
    files: tuple[str, ...]
    stop: str = "TERM"
    echoes: bool = True
    instances: int = 1
    directory: Path = field(default=Path(), init=False)
    port: int = field(default=0, init=False)

    def start(self, directory: Path, port: int) -> None:
        """The first deploy."""
        self.directory, self.port = directory, port
        (directory / "app").mkdir()
        for name in self.files:
            shutil.copy(APPLICATIONS / name, directory / "app" / name)
        self.swap(1)

    def swap(self, version: int) -> None:
        """Another deployment: its number is in the variable that the application answers with."""
        (self.directory / "app" / "mikoshi.toml").write_text(self._configuration(version))
        command = [str(PROGRAM), "-C", str(self.directory / "app"), "deploy", "--json"]
        own = {f"XDG_{kind}_HOME": str(self.directory / kind.lower()) for kind in ("DATA", "CACHE", "STATE")}
        done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DeployFailed(f"{self.name}: {done.stdout[-2000:]}{done.stderr}")

    def runner_pids(self) -> list[int]:
        """The holder and the runner."""
        run = self.directory / "nodes" / "bench" / "production" / "run"
        return [int((run / name).read_text()) for name in ("holder.lock", "runner.pid")]

    def end(self) -> None:
        """Have the holder stop everything, and wait until nothing of it is left."""
        lock = self.directory / "nodes" / "bench" / "production" / "run" / "holder.lock"
        if not lock.exists():
            return
        holder = int(lock.read_text())
        try:
            os.kill(holder, signal.SIGTERM)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + 60
        while Path(f"/proc/{holder}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _configuration(self, version: int) -> str:
        return f"""\
app = "bench"
[process.web]
command = {json.dumps(self.command)}
listen = {self.port}
instances = {self.instances}
stop = {{ signal = "{self.stop}", within = "20s" }}
[env.production]
hosts = ["local"]
path = {json.dumps(str(self.directory / "nodes"))}
keep = 2
vars = {{ GENERATION = "{version}" }}
"""
