"""The namespaces that all hosts of a fleet live in, and how to step into them.

The hosts' disks are mounted in the fleet's mount namespace, never in the caller's, and outlive a host's own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mikoshi.testing.hosts import keeper
from mikoshi.testing.hosts.errors import HostError

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


class FleetNamespaces:
    """A pid and a mount namespace, held by one keeper process that ends when this process does."""

    def __init__(self) -> None:
        owner = os.pidfd_open(os.getpid())
        try:
            self._process = subprocess.Popen(
                [
                    *(
                        "unshare",
                        "--mount",
                        "--propagation",
                        "private",
                        "--pid",
                        "--fork",
                        "--kill-child",
                        "--",
                    ),
                    *(sys.executable, "-I", "-S", keeper.__file__, str(owner)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(owner,),
                start_new_session=True,
                env=ENVIRONMENT,
                text=True,
            )
        finally:
            os.close(owner)
        assert self._process.stdout is not None
        announced = self._process.stdout.readline()
        if not announced:
            _, problem = self._process.communicate()
            raise HostError("fleet", "no namespaces", problem)
        self.keeper_pid = int(announced)

    def outside_path(self, path: Path) -> Path:
        """The path by which this process sees `path` as the hosts' mounts have it."""
        return Path(f"/proc/{self.keeper_pid}/root{path}")

    def entering(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` as a member of the fleet."""
        return ["nsenter", f"--target={self.keeper_pid}", "--mount", "--pid", "--", *command]

    def run(self, command: Sequence[str]) -> None:
        """Run a command as a member of the fleet; raise HostError if it fails."""
        done = subprocess.run(
            self.entering(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
        if done.returncode != 0:
            raise HostError("fleet", f"{' '.join(command)} ended with {done.returncode}", done.stderr)

    def close(self) -> None:
        """End every process of the fleet, and with them its mounts. Returns when they are gone."""
        self._process.kill()
        self._process.communicate()
