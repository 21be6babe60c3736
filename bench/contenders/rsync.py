"""`rsync -a --delete` over ssh, one for each host, all at once. Not atomic: requests meet a tree half changed."""

from __future__ import annotations

import subprocess

from bench.cost import Cost, run
from bench.site import Site, remote_directory


class Rsync:
    """A connection for each run, as a script without further care has it."""

    name = "rsync"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ssh = f"ssh -F {site.ssh_config}"
        self._target = remote_directory(self.name)

    def edited(self) -> None:
        """Nothing: the work tree is sent."""

    def deploy(self) -> Cost:
        """All hosts at once."""
        source = f"{self._site.application.directory}/"
        return run(
            [
                ["rsync", "-a", "--delete", "-e", self._ssh, source, f"{host.name}:{self._target}/"]
                for host in self._site.hosts
            ]
        )

    def rollback(self) -> Cost:
        """There is no such thing: the old tree is sent again."""
        return self.deploy()

    def tree(self) -> str:
        """The directory that is written into while it is served."""
        return self._target

    def close(self) -> None:
        """Nothing was started."""


class RsyncConnected(Rsync):
    """The same over connections that are open already (OpenSSH's ControlMaster), opened before the measurement."""

    name = "rsync-connected"

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        # A socket's path may have about 100 characters: %C is a digest of host, port and user.
        sockets = site.directory / "s"
        sockets.mkdir()
        self._ssh += f" -o ControlPath={sockets}/%C"
        for host in site.hosts:
            subprocess.run([*self._ssh.split(), "-M", "-N", "-f", host.name], check=True, stderr=subprocess.DEVNULL)

    def close(self) -> None:
        """Close the connections."""
        for host in self._site.hosts:
            subprocess.run([*self._ssh.split(), "-O", "exit", host.name], check=True, capture_output=True)
