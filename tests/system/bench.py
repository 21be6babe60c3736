"""The workbench over real SSH hosts, and what tests do to those: cut a connection, kill an engine."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mikoshi.testing.hosts import Host, HostKind
from mikoshi.testing.hosts.deadline import wait_until
from mikoshi.testing.hosts.processes import namespace_of, processes_in
from tests.workbench import Workbench

PATIENCE = 20.0


@dataclass
class SshBench(Workbench):
    """An application whose nodes are `hosts`, under the paths that nodes have unless told otherwise."""

    hosts: Sequence[Host] = ()
    connect: str = "20s"
    ssh: Path = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.nodes = tuple(host.name for host in self.hosts)
        self.ssh = self.hosts[0].ssh_config

    def access(self) -> str:
        """How the hosts are reached."""
        return f"ssh = {{ config = {json.dumps(str(self.ssh))}, connect = {json.dumps(self.connect)} }}"

    def host(self, node: str) -> Host:
        """The host behind a node's name."""
        return next(host for host in self.hosts if host.name == node)

    def place(self, node: str) -> Path:
        """The environment's directory on a node, which must be on."""
        host = self.host(node)
        base = "home/deploy/mikoshi" if host.kind is HostKind.PLAIN else "srv/mikoshi"
        return host.root / base / self.name / "production"

    def tree(self, node: str, seq: int) -> Path:
        """A kept deployment's tree on a node."""
        return self.place(node) / "deployments" / str(seq) / "tree"

    def holder(self, node: str) -> str:
        """Who holds the node's lease, "" for nobody."""
        file = self.place(node) / "lease"
        return str(json.loads(file.read_text()).get("holder", "")) if file.exists() else ""

    def contents(self, name: str = "version.txt") -> dict[str, str]:
        """A file of what runs on each node that is on; "" where nothing runs."""
        return {
            host.name: self.content(host.name, name) if self.current(host.name) else ""
            for host in self.hosts
            if host.running
        }

    def edit(self, node: str, seq: int, name: str, text: str) -> None:
        """Write a file of a kept tree by hand, in place, as somebody with root does."""
        (self.tree(node, seq) / name).write_text(text)


def at(name: str, node: str = "", step: str = "") -> Callable[[dict[str, Any]], bool]:
    """A predicate for events by name, and by node and step if they are given."""

    def wanted(event: dict[str, Any]) -> bool:
        here = not node or node in (event.get("node"), *event.get("nodes", ()))
        return event["event"] == name and here and (not step or event["step"] == step)

    return wanted


def commands(host: Host) -> Iterator[tuple[int, list[str]]]:
    """The processes of a host with their command lines; pids as this machine has them."""
    for pid in processes_in(namespace_of(host.pid) or ""):
        try:
            yield pid, Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue


def engines(host: Host) -> list[int]:
    """The node engines that run on a host."""
    return [pid for pid, words in commands(host) if "-I" in words and "mikoshi/engine/" in words[-2]]


def sessions(host: Host) -> list[int]:
    """The processes of sshd for connections, without the one that listens."""
    return [pid for pid, words in commands(host) if words[0].startswith("sshd: ") and "listener" not in words[0]]


def end(pids: Sequence[int]) -> None:
    """Kill -9, and return when the processes are gone."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    assert wait_until(lambda: not any(alive(pid) for pid in pids), PATIENCE)


def alive(pid: int) -> bool:
    """Whether a process is there and not only waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cut(host: Host) -> None:
    """Cut every connection to a host at once: nobody says goodbye."""
    found = sessions(host)
    assert found, "there is no connection to cut"
    end(found)


def kill_engine(host: Host) -> None:
    """Kill -9 the host's node engines."""
    found = engines(host)
    assert found, "there is no engine to kill"
    end(found)
