"""What an SSH client needs to reach the hosts of a fleet: a configuration and the pins of their keys.

The pins are of the keys that the hosts had when they were started: a key that changes later is a changed key.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from mikoshi.testing.hosts.addresses import PORT
from mikoshi.testing.hosts.keys import FleetKeys, public_key
from mikoshi.testing.hosts.seed import Seed


@dataclass(frozen=True)
class _Entry:
    config: str
    pin: str


class ClientConfig:
    """`ssh_config` and `known_hosts` in a directory, true for the hosts that were added and not removed.

    It says nothing of other hosts, so that a person's own configuration can include it.
    """

    def __init__(self, directory: Path, keys: FleetKeys) -> None:
        self.path = directory / "ssh_config"
        self.known_hosts = directory / "known_hosts"
        self._keys = keys
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._write()

    def add(self, seed: Seed) -> None:
        """Let clients reach a host by its name, and trust the fleet's host key at its address."""
        pin = f"[{seed.address}]:{PORT} {public_key(self._keys.host)}\n"
        config = f"Host {seed.name}\n    HostName {seed.address}\n    User {seed.kind.user}\n"
        with self._lock:
            self._entries[seed.name] = _Entry(config, pin)
            self._write()

    def remove(self, name: str) -> None:
        """Forget a host."""
        with self._lock:
            del self._entries[name]
            self._write()

    @property
    def host_ca_line(self) -> str:
        """The known_hosts line that trusts every host certified by the fleet's host CA."""
        return f"@cert-authority [127.0.*]:{PORT} {public_key(self._keys.host_ca)}"

    def _write(self) -> None:
        common = f"""\
Host {" ".join(self._entries) or "!*"}
    Port {PORT}
    IdentityFile "{self._keys.client}"
    IdentitiesOnly yes
    BatchMode yes
    UserKnownHostsFile "{self.known_hosts}"
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
"""
        entries = self._entries.values()
        _replace(self.known_hosts, "".join(entry.pin for entry in entries))
        _replace(self.path, "".join(entry.config for entry in entries) + common)


def _replace(path: Path, text: str) -> None:
    """Write at once: a client may be reading."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)
