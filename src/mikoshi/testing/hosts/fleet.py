"""Several test hosts that live and die together."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from mikoshi.testing.hosts.addresses import reserve_address
from mikoshi.testing.hosts.agent import ssh_agent
from mikoshi.testing.hosts.client_config import ClientConfig
from mikoshi.testing.hosts.disk import Disk
from mikoshi.testing.hosts.errors import HostError
from mikoshi.testing.hosts.host import Host
from mikoshi.testing.hosts.keys import FleetKeys
from mikoshi.testing.hosts.namespaces import FleetNamespaces
from mikoshi.testing.hosts.requirements import missing_requirements
from mikoshi.testing.hosts.seed import Seed
from mikoshi.testing.hosts.spec import HostKind, HostSpec


class HostFleet:
    """Hosts, the keys they share and the SSH client's configuration for them, in a directory.

    The hosts end when the fleet is closed or when the process that made it ends, even by SIGKILL. Their disks
    go with them, save those without a size, which only closing removes. What stays in the directory are keys,
    logs and the client's files.
    """

    def __init__(self, directory: Path) -> None:
        """Prepare a fleet without hosts. Raises HostError if this machine lacks what hosts need."""
        missing = missing_requirements()
        if missing:
            raise HostError("fleet", "; ".join(missing))
        self.directory = directory.resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.keys = FleetKeys.generate(self.directory)
        self.client = ClientConfig(self.directory, self.keys)
        self._namespaces = FleetNamespaces()
        self._cleanup: dict[str, contextlib.ExitStack] = {}
        self._numbers = itertools.count(1)

    def start(
        self,
        kind: HostKind | str = HostKind.ROOT,
        *,
        name: str | None = None,
        size: str | None = "512m",
        inodes: int | None = None,
        without: Sequence[str] = (),
    ) -> Host:
        """Boot a host and return when its sshd listens. The arguments are those of HostSpec."""
        return self.start_all([HostSpec(HostKind(kind), name, size, inodes, tuple(without))])[0]

    def start_all(self, specs: Sequence[HostSpec]) -> list[Host]:
        """Boot hosts beside each other; all or none. Raises HostError."""
        hosts: list[Host] = []
        try:
            hosts.extend(self._power_on(spec) for spec in specs)
            for host in hosts:
                host.wait_for_sshd()
        except BaseException:
            for host in hosts:
                self.remove(host)
            raise
        return hosts

    def remove(self, host: Host) -> None:
        """Cut a host's power, throw its disk away and give its address back."""
        self._cleanup.pop(host.name).close()

    def agent(self, *keys: Path) -> contextlib.AbstractContextManager[Path]:
        """An ssh-agent with these private keys, for a `with` block; gives its socket. Ends with the fleet."""
        return ssh_agent(self._namespaces, keys)

    def close(self) -> None:
        """End all hosts. Returns when nothing of them is left but the files named above."""
        try:
            for name in list(self._cleanup):
                self._cleanup.pop(name).close()
        finally:
            self._namespaces.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _power_on(self, spec: HostSpec) -> Host:
        name = spec.name or f"{spec.kind}{next(self._numbers)}"
        if name in self._cleanup:
            raise ValueError(f"there is a host named {name} already")
        with contextlib.ExitStack() as cleanup:
            address = cleanup.enter_context(reserve_address()).address
            seed = Seed(name, address, spec.kind, self.keys, spec.without)
            disk = Disk(self._namespaces, self.directory / "disks" / name, spec.size, spec.inodes)
            cleanup.callback(disk.remove)
            seed.write(disk.upper)
            self.client.add(seed)
            cleanup.callback(self.client.remove, name)
            host = Host(seed, disk, self._namespaces, self.client, self.directory / f"{name}.log")
            cleanup.callback(host.kill)
            host.power_on()
            self._cleanup[name] = cleanup.pop_all()
        return host
