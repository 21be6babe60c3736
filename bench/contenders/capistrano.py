"""Capistrano with its git plugin, as its documentation has it: each host fetches from a git server.

The server is a `git daemon` on loopback, the fastest way there is: no login, no encryption.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

from bench.cost import Cost, run
from bench.site import Site, remote_directory

_DEADLINE = 10.0


class Capistrano:
    """Commits go straight into the served repository: pushing is not measured."""

    name = "capistrano"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._repository = site.directory / "served" / "bench.git"
        self._repository.parent.mkdir()
        self._project = site.directory / "project"
        self._git("init", "--quiet", "--initial-branch=main")
        self.edited()
        self._daemon, port = _serve(self._repository.parent)
        self._write_project(port)

    def edited(self) -> None:
        """Commit."""
        self._git("add", "--all")
        identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
        self._git(*identity, "commit", "--quiet", "--allow-empty", "--message", str(self._site.application.version))

    def deploy(self) -> Cost:
        """`cap production deploy`."""
        return self._cap("deploy")

    def rollback(self) -> Cost:
        """`cap production deploy:rollback`."""
        return self._cap("deploy:rollback")

    def tree(self) -> str:
        """What `current` leads to."""
        return f"{remote_directory(self.name)}/current"

    def close(self) -> None:
        """End the git server, and the processes it started."""
        self._daemon.terminate()
        self._daemon.wait()

    def _cap(self, task: str) -> Cost:
        return run([["cap", "production", task]], directory=self._project)

    def _git(self, *arguments: str) -> None:
        environment = os.environ | {
            "GIT_DIR": str(self._repository),
            "GIT_WORK_TREE": str(self._site.application.directory),
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        subprocess.run(["git", *arguments], check=True, env=environment, capture_output=True)

    def _write_project(self, port: int) -> None:
        servers = "".join(
            f'server "{host.address}", port: {host.port}, user: "{host.user}", roles: %w[app]\n'
            for host in self._site.hosts
        )
        first = self._site.hosts[0]
        files = {
            "Capfile": (
                'require "capistrano/setup"\nrequire "capistrano/deploy"\n'
                'require "capistrano/scm/git"\ninstall_plugin Capistrano::SCM::Git\n'
            ),
            "config/deploy.rb": (
                'set :application, "bench"\n'
                f'set :repo_url, "git://127.0.0.1:{port}/bench.git"\nset :branch, "main"\n'
                f'set :deploy_to, "{remote_directory(self.name)}"\n'
                "set :ssh_options, config: false, keys_only: true, "
                f'keys: ["{first.key}"], user_known_hosts_file: "{first.known_hosts}"\n'
            ),
            "config/deploy/production.rb": servers,
        }
        for name, text in files.items():
            file = self._project / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)


def _serve(directory: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A git server for the repositories in `directory` on loopback, listening, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    # Without --detach, and not by `git daemon`: the process started is the daemon and ends when it is told to.
    executables = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True).stdout.strip()
    options = ["--export-all", f"--base-path={directory}", "--listen=127.0.0.1", f"--port={port}"]
    command = [f"{executables}/git-daemon", *options, "--max-connections=100", str(directory)]
    daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + _DEADLINE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return daemon, port
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.kill()
            raise RuntimeError("git daemon does not listen")
        time.sleep(0.01)
