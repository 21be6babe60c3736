"""What people do without a runner: gunicorn's HUP, nginx's reload, and stopping and starting."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from bench.replacing.way import APPLICATIONS

_LIMIT = 30.0


class NeverAnswered(Exception):
    """A version did not come up in time."""


def wait_for(port: int, version: int) -> None:
    """Return once that version answers. Raises NeverAnswered."""
    deadline = time.monotonic() + _LIMIT
    while time.monotonic() < deadline:
        try:
            with urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                if answer.read().split(b"\n")[0] == str(version).encode():
                    return
        except OSError:
            pass  # not yet
        time.sleep(0.02)
    raise NeverAnswered(f"version {version} on port {port}")


@dataclass
class Own:
    """A server of its own, with its own way to the next version. `prepare` writes what a version needs."""

    name: str
    command: Callable[[Path, int], list[str]]
    prepare: Callable[[Path, int, int], None]
    change: Callable[[Own, int], None]
    kind: str = "other"
    echoes: bool = True
    directory: Path = field(default=Path(), init=False)
    port: int = field(default=0, init=False)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self, directory: Path, port: int) -> None:
        """Start version 1."""
        self.directory, self.port = directory, port
        for file in APPLICATIONS.iterdir():
            if file.is_file():
                shutil.copy(file, directory)
        self.prepare(directory, port, 1)
        self.launch(1)

    def launch(self, version: int) -> None:
        """Start the server and wait for it."""
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(self.directory, self.port), cwd=self.directory, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, env={**os.environ, "GENERATION": str(version)},
            )  # fmt: skip
        wait_for(self.port, version)

    def swap(self, version: int) -> None:
        """Bring the next version."""
        self.prepare(self.directory, self.port, version)
        self.change(self, version)

    def end(self) -> None:
        """End the server."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(_LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def by_hup(own: Own, version: int) -> None:
    """Tell the server to read everything anew."""
    assert own.process is not None
    own.process.send_signal(signal.SIGHUP)
    wait_for(own.port, version)


def by_restart(own: Own, version: int) -> None:
    """Stop it, wait, start it."""
    own.end()
    own.launch(version)


def _nothing(_directory: Path, _port: int, _version: int) -> None:
    """The version is in the environment."""


def _gunicorn(_directory: Path, port: int) -> list[str]:
    words = ["--config", "gunicorn.conf.py", "--workers", "8", "--log-level", "error", "--no-control-socket"]
    return [sys.executable, "-m", "gunicorn", *words, "--bind", f"127.0.0.1:{port}", "wsgi:application"]


def _gunicorn_version(directory: Path, _port: int, version: int) -> None:
    (directory / "gunicorn.conf.py").write_text(f'raw_env = ["GENERATION={version}"]\n')


def _uvicorn(_directory: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "uvicorn", "--log-level", "error", "--port", str(port), "asgi:application"]


def _nginx(directory: Path, _port: int) -> list[str]:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
    return [program, "-p", str(directory), "-c", "nginx.conf", "-e", "stderr"]


def _nginx_version(directory: Path, port: int, version: int) -> None:
    (directory / "nginx.conf").write_text(
        f"""daemon off; pid nginx.pid; worker_processes 2;
events {{}}
http {{
  access_log off;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "{version}\\n"; }} }}
}}
"""
    )


def others() -> list[Own]:
    """All of them, new."""
    return [
        Own("gunicorn, HUP", _gunicorn, _gunicorn_version, by_hup),
        Own("nginx, reload", _nginx, _nginx_version, by_hup, echoes=False),
        Own("uvicorn, stop and start", _uvicorn, _nothing, by_restart),
    ]
