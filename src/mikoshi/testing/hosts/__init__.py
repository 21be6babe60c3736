"""Real SSH servers for tests, several on one machine: a fleet that dies with the process that started it.

Each host has its own root file system (an overlay on this machine's), disk, process ids, hostname, machine
id, boot id and boot clock, and sshd as process 1. The network is this machine's loopback, where each host has
its own address. Needs root on Linux; `missing_requirements` says what is lacking.
"""

from mikoshi.testing.hosts.errors import HostError
from mikoshi.testing.hosts.fleet import HostFleet
from mikoshi.testing.hosts.host import Host
from mikoshi.testing.hosts.requirements import missing_requirements
from mikoshi.testing.hosts.spec import HostKind, HostSpec

__all__ = ["Host", "HostError", "HostFleet", "HostKind", "HostSpec", "missing_requirements"]
