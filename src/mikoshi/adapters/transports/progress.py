"""How far the way to a running engine has been gone: for the name of a timeout, and for the count of what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from mikoshi.ports.transport import Traffic


@dataclass
class Progress:
    """`phase` is "connect", "log in" or the start of the engine."""

    traffic: Traffic
    phase: str = "connect"
