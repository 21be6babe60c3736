"""The names of platforms, alike on both sides: system, dash, machine, as in "linux-x86_64" or "darwin-arm64"."""

from __future__ import annotations

from mikoshi.core.release import ANY_PLATFORM

_SAME_MACHINE = {"amd64": "x86_64", "x64": "x86_64", "i386": "i686", "i486": "i686", "i586": "i686"}
_ALSO_RUNS = {"linux-x86_64": ("linux-i686",)}


def platform_name(system: str, machine: str) -> str:
    """A platform's name from what the system calls itself (`sys.platform`) and its machine (`uname -m`)."""
    system, machine = system.lower().rstrip("0123456789"), machine.lower()
    machine = _SAME_MACHINE.get(machine, machine)
    if (system, machine) == ("linux", "arm64"):
        machine = "aarch64"
    return f"{system}-{machine or 'unknown'}"


def runs_on(release_platform: str, node_platform: str) -> bool:
    """Whether a release can run on a node: its platform is "any", or one of its platforms ("a+b") fits the node's."""
    if release_platform == ANY_PLATFORM:
        return True
    fitting = (node_platform, *_ALSO_RUNS.get(node_platform, ()))
    return any(name in fitting for name in release_platform.split("+"))
