"""What every way to the next version is to the benchmark."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Protocol

APPLICATIONS = Path(__file__).parents[1] / "applications"


class Way(Protocol):
    """A server that can be brought to the next version. Version `n` answers with the line `n` first."""

    @property
    def name(self) -> str:
        """What the table calls it."""
        ...

    @property
    def kind(self) -> str:
        """What is promised: the class of the server under Mikoshi, or "other"."""
        ...

    @property
    def echoes(self) -> bool:
        """Whether it can take a POST and stream: nginx without an application cannot."""
        ...

    def start(self, directory: Path, port: int) -> None:
        """Start version 1; returns when it answers."""
        ...

    def swap(self, version: int) -> None:
        """Bring a version; returns when whoever does it would call it done."""
        ...

    def end(self) -> None:
        """End everything."""
        ...


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
