"""The address of a node, as the configuration names it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    """One node.

    `name` is unique in the environment and what people see. `host` "" means this machine, without SSH; then `label`
    tells several local nodes apart. `port` 0 and `user` "" leave the choice to the SSH configuration. `host_key` pins
    the host's key ("SHA256:…" or a public key); "" leaves it to known_hosts.
    """

    name: str
    host: str = ""
    port: int = 0
    user: str = ""
    label: str = ""
    host_key: str = ""

    @property
    def local(self) -> bool:
        """Whether the node is this machine, reached without SSH."""
        return not self.host
