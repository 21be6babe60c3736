"""One server of a fleet, as a test sees it: looked at from outside, and made to fail as servers do."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mikoshi.testing.hosts import host_key
from mikoshi.testing.hosts.addresses import PORT
from mikoshi.testing.hosts.client_config import ClientConfig
from mikoshi.testing.hosts.deadline import wait_until
from mikoshi.testing.hosts.disk import Disk
from mikoshi.testing.hosts.errors import HostError
from mikoshi.testing.hosts.machine import Machine
from mikoshi.testing.hosts.namespaces import ENVIRONMENT, FleetNamespaces
from mikoshi.testing.hosts.processes import continue_all, stop_all
from mikoshi.testing.hosts.seed import HOST_KEY, Seed

LIMIT = 20.0  # seconds; what is waited for takes some 0.05, but the machine may be busy


class Host:
    """A server with sshd. Made by `HostFleet.start`; its methods return when what they say has happened."""

    def __init__(self, seed: Seed, disk: Disk, namespaces: FleetNamespaces, client: ClientConfig, log: Path) -> None:
        self.name = seed.name
        self.kind = seed.kind
        self.user = seed.kind.user
        self.address = seed.address
        self.port = PORT
        self.key = seed.keys.client
        self.known_hosts = client.known_hosts
        self.ssh_config = client.path
        self.disk = disk
        self._keys = seed.keys
        self._namespaces = namespaces
        self._log = log
        self._machine: Machine | None = None
        self._listened = 0

    @property
    def running(self) -> bool:
        """Whether the host is on (a paused one is)."""
        return self._machine is not None and self._machine.running

    @property
    def pid(self) -> int:
        """Process 1 of the host, as this process knows it. Raises HostError if the host is off."""
        return self._on().pid

    @property
    def root(self) -> Path:
        """The host's file system as seen from here, to read and to write. Raises HostError if it is off.

        Absolute symbolic links in it lead out of it: use `run` to follow those.
        """
        return Path(f"/proc/{self.pid}/root")

    @property
    def log(self) -> str:
        """What sshd said, over all boots."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def host_key(self) -> str:
        """The public key that the host proves itself with now: `ssh-ed25519 AAAA…`."""
        return (self.disk.upper / f"{HOST_KEY}.pub").read_text().strip()

    def ssh(self, *command: str, options: Sequence[str] = ()) -> list[str]:
        """The command line that runs `command` on the host with the system's ssh client; it never prompts."""
        return ["ssh", "-F", str(self.ssh_config), *options, self.name, *command]

    def run(
        self,
        command: Sequence[str],
        *,
        user: str | None = None,
        stdin: bytes = b"",
        check: bool = True,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command on the host without SSH, as root or `user`; its output is captured.

        Raises CalledProcessError if it fails and `check` is left on, TimeoutExpired after `timeout` seconds,
        HostError if the host is off.
        """
        if user is not None:
            switch = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env", "--")
            command = [*switch, *command]
        return subprocess.run(
            self._on().entering(command),
            input=stdin,
            capture_output=True,
            check=check,
            timeout=timeout,
            env=ENVIRONMENT,
        )

    def start(self) -> None:
        """Switch on, with the disk as it is. Nothing to do if the host is on."""
        self.power_on()
        self.wait_for_sshd()

    def power_on(self) -> None:
        """The first half of `start`: many hosts boot beside each other. `wait_for_sshd` is the other half."""
        if not self.running:
            self.kill()
            self._listened = self._times_listening()
            self._machine = Machine(self._namespaces, self.name, self.disk.directory, self._log)

    def wait_for_sshd(self) -> None:
        """Return when sshd listens since `power_on`. Raises HostError, with the log, if it does not."""
        if not wait_until(lambda: self._times_listening() > self._listened or not self.running, LIMIT):
            raise HostError(self.name, f"sshd does not listen on {self.address}:{self.port}", self.log)
        if not self.running:
            self.kill()
            raise HostError(self.name, "ended while it booted", self.log)

    def kill(self) -> None:
        """Cut the power: every process ends at once, memory, /run and /tmp are lost, the disk stays."""
        if self._machine is not None:
            self._machine.power_off()
            self._machine = None

    def restart(self) -> None:
        """Cut the power and boot again: same disk, new boot id, clocks since boot from the start."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Stop every process: connections stay open and new ones are accepted, but nobody answers."""
        namespace = self._on().pid_namespace
        if not wait_until(lambda: stop_all(namespace), LIMIT):
            raise HostError(self.name, "does not stop")

    def resume(self) -> None:
        """Let every process go on after `pause`."""
        continue_all(self._on().pid_namespace)

    def rotate_host_key(self) -> None:
        """Give the host a key that no known_hosts file has: `host_key` says which. Open sessions stay."""
        host_key.replace_key(self.root)
        self._reload()

    def present_host_certificate(self) -> None:
        """Give the host a new key, certified by the fleet's host CA: see `ClientConfig.host_ca_line`."""
        host_key.replace_key_with_certified(self.root, self._keys.host_ca, self.address)
        self._reload()

    def _reload(self) -> None:
        self._listened = self._times_listening()
        self._on().signal(signal.SIGHUP)
        self.wait_for_sshd()

    def _on(self) -> Machine:
        if self._machine is None or not self._machine.running:
            raise HostError(self.name, "is off", self.log)
        return self._machine

    def _times_listening(self) -> int:
        return self.log.count("Server listening on ")
