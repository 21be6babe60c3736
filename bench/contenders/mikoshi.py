"""Mikoshi, as a user runs it: one process of the command line."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cost import Cost, run
from bench.site import Site, remote_directory

PROGRAM = Path(sys.executable).with_name("mikoshi")


@dataclass(frozen=True)
class Wire:
    """What a command cost on the wire, as it says itself: over all hosts."""

    connects: int
    round_trips: int
    bytes_sent: int
    bytes_received: int


class Mikoshi:
    """Its caches and releases are the round's own, so that a first deploy is one."""

    name = "mikoshi"

    def __init__(self, site: Site) -> None:
        self._site = site
        self.wire: Wire | None = None
        self.environment = dict(os.environ)
        for kind in ("DATA", "CACHE", "STATE"):
            self.environment[f"XDG_{kind}_HOME"] = str(site.directory / kind.lower())
        configuration = site.application.directory / "mikoshi.toml"
        configuration.write_text(_configuration(site))

    def edited(self) -> None:
        """Nothing: the work tree is deployed."""

    def deploy(self) -> Cost:
        """`mikoshi deploy`."""
        return self._measure("deploy")

    def rollback(self) -> Cost:
        """`mikoshi rollback`."""
        return self._measure("rollback")

    def status(self) -> Cost:
        """`mikoshi status`: the least that reaches the hosts."""
        return self._run("status")

    def tree(self) -> str:
        """What `current` leads to."""
        return f"{remote_directory(self.name)}/bench/production/current"

    def close(self) -> None:
        """Remove the configuration from the source directory."""
        (self._site.application.directory / "mikoshi.toml").unlink()

    def _measure(self, verb: str) -> Cost:
        cost = self._run(verb)
        self.wire = _wire(cost.output)
        return cost

    def _run(self, verb: str) -> Cost:
        command = [str(PROGRAM), "-C", str(self._site.application.directory), verb, "production", "--json"]
        return run([command], environment=self.environment)


def _wire(output: str) -> Wire:
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    ended: dict[str, Any] = next(event for event in reversed(events) if "round_trips" in event)
    return Wire(ended["connects"], ended["round_trips"], ended["bytes_sent"], ended["bytes_received"])


def _configuration(site: Site) -> str:
    hosts = ", ".join(json.dumps(host.name) for host in site.hosts)
    return f"""\
app = "bench"

[env.production]
hosts = [{hosts}]
path = "{remote_directory(Mikoshi.name)}"
ssh = {{ config = {json.dumps(str(site.ssh_config))} }}
"""
