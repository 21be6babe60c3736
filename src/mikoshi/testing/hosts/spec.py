"""What a test asks for when it starts a host. Only values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class HostKind(StrEnum):
    """What the SSH user may do."""

    ROOT = "root"  # the SSH user is root
    SUDO = "sudo"  # the SSH user is `deploy`, and `sudo -n` works
    PLAIN = "plain"  # the SSH user is `deploy`, and sudo asks for a password that nobody has

    @property
    def user(self) -> str:
        """The name that logs in over SSH."""
        return "root" if self is HostKind.ROOT else "deploy"


@dataclass(frozen=True)
class HostSpec:
    """One host to start.

    `size` is the disk's, in mount's notation ("512m"), and `inodes` how many files it holds; the host's own
    files take a little of both (under 100 KiB, about 60 inodes). `size=None` puts the disk not in memory but
    on the file system of the fleet's directory: then `inodes` and `Disk.leave_free` do not apply.
    `without` hides files of this machine from the host, for instance "/usr/bin/sudo".
    """

    kind: HostKind = HostKind.ROOT
    name: str | None = None
    size: str | None = "512m"
    inodes: int | None = None
    without: tuple[str, ...] = ()
