"""`tar | ssh`, one for each host, all at once: everything travels every time, and nothing is ever removed."""

from __future__ import annotations

import shlex

from bench.cost import Cost, run
from bench.site import Site, remote_directory


class Tar:
    """Unpacks over what is there. Not atomic."""

    name = "tar"

    def __init__(self, site: Site) -> None:
        self._site = site
        self._target = remote_directory(self.name)

    def edited(self) -> None:
        """Nothing: the work tree is sent."""

    def deploy(self) -> Cost:
        """All hosts at once."""
        return run([["bash", "-c", self._pipeline(host.name)] for host in self._site.hosts])

    def rollback(self) -> Cost:
        """There is no such thing: the old tree is sent again."""
        return self.deploy()

    def tree(self) -> str:
        """The directory that is written into while it is served."""
        return self._target

    def close(self) -> None:
        """Nothing was started."""

    def _pipeline(self, host: str) -> str:
        source = shlex.quote(str(self._site.application.directory))
        unpack = shlex.quote(f"mkdir -p {self._target} && tar -x -C {self._target}")
        config = shlex.quote(str(self._site.ssh_config))
        return f"set -o pipefail; tar -c -C {source} . | ssh -F {config} {host} {unpack}"
