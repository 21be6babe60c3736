"""One boot of a host: from its process 1 to that process's end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mikoshi.testing.hosts.errors import HostError
from mikoshi.testing.hosts.namespaces import ENVIRONMENT, FleetNamespaces
from mikoshi.testing.hosts.processes import namespace_of

BOOT = Path(__file__).with_name("boot.sh")


class Machine:
    """A running host's namespaces and its process 1, which is sshd."""

    def __init__(self, namespaces: FleetNamespaces, name: str, disk: Path, log: Path) -> None:
        """Power on. Raises HostError, with the log, if the host has not even its namespaces."""
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                namespaces.entering([*_unshare(), "/bin/sh", str(BOOT), name, str(disk)]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
                env=ENVIRONMENT,
            )
        assert self._process.stdout is not None
        with self._process.stdout as announcement:
            announced = announcement.readline()
        if not announced:
            self._process.wait()
            raise HostError(name, "did not boot", log.read_text())
        self.pid = int(announced)
        self._pidfd = os.pidfd_open(self.pid)
        self.pid_namespace = namespace_of(self.pid) or ""  # "" is no namespace's name: it ended already

    @property
    def running(self) -> bool:
        """Whether process 1 is there."""
        return self._process.poll() is None

    def entering(self, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` on the host, as root, without SSH."""
        namespaces = ("--mount", "--uts", "--ipc", "--pid", "--time")
        return ["nsenter", f"--target={self.pid}", *namespaces, "--", *command]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to process 1."""
        signal.pidfd_send_signal(self._pidfd, number)

    def power_off(self) -> None:
        """End every process at once, without a word to any. Returns when they are gone. To be called once."""
        try:
            self.signal(signal.SIGKILL)
        except ProcessLookupError:
            pass  # process 1 ended by itself
        self._process.wait()
        os.close(self._pidfd)


def _unshare() -> list[str]:
    """The command that makes a host's own namespaces; its clocks of time since boot start at one second."""
    uptime = int(float(Path("/proc/uptime").read_text().split()[0]))
    clocks = ("--time", f"--boottime={1 - uptime}", f"--monotonic={1 - uptime}")
    return ["unshare", "--mount", "--uts", "--ipc", *clocks, "--pid", "--fork", "--kill-child", "--"]
