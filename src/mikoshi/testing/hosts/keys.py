"""The keys of a fleet: what hosts prove themselves with, what clients log in with, and who certifies both."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class FleetKeys:
    """Paths of ed25519 private keys without passphrase; the public one is beside each as `<name>.pub`."""

    client: Path
    host: Path
    user_ca: Path
    host_ca: Path

    @classmethod
    def generate(cls, directory: Path) -> Self:
        """New keys, in a directory that exists."""
        return cls(
            client=generate_key(directory / "id_ed25519"),
            host=generate_key(directory / "host_key"),
            user_ca=generate_key(directory / "user_ca"),
            host_ca=generate_key(directory / "host_ca"),
        )


def generate_key(path: Path) -> Path:
    """Make a key pair at `path` and `path.pub`, which must not exist, and return `path`."""
    if path.exists():
        raise FileExistsError(path)
    _keygen("-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path))
    return path


def public_key(path: Path) -> str:
    """`ssh-ed25519 AAAA…` of the private key at `path`, without its comment."""
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


def certify_user(ca: Path, key: Path, principals: Sequence[str], seconds: int = 3600) -> Path:
    """Let `ca` sign the key at `key`, to log in as `principals` for so many seconds from now.

    Negative seconds (more than -3600) make a certificate that has expired. Returns the certificate,
    `<key>-cert.pub`, where ssh finds it by itself.
    """
    validity = f"-1h:{seconds:+d}s"
    _keygen("-s", str(ca), "-I", key.name, "-n", ",".join(principals), "-V", validity, f"{key}.pub")
    return key.with_name(key.name + "-cert.pub")


def certify_host(ca: Path, key: Path, address: str) -> Path:
    """Let `ca` sign a host's key for `address`. Returns the certificate, `<key>-cert.pub`."""
    _keygen("-s", str(ca), "-I", address, "-h", "-n", address, f"{key}.pub")
    return key.with_name(key.name + "-cert.pub")


def _keygen(*arguments: str) -> None:
    subprocess.run(["ssh-keygen", "-q", *arguments], check=True, stdin=subprocess.DEVNULL, capture_output=True)
