"""What a running host proves itself with: a new key, or a new key with a certificate.

sshd reads both on SIGHUP, which the caller sends; open sessions stay.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from mikoshi.testing.hosts.keys import certify_host, generate_key, public_key
from mikoshi.testing.hosts.seed import HOST_CERTIFICATE, HOST_KEY, SSHD_CONFIG


def replace_key(root: Path) -> None:
    """Put a new host key into the host whose file system is seen at `root`."""
    with tempfile.TemporaryDirectory() as scratch:
        _install(root, generate_key(Path(scratch) / "key"))


def replace_key_with_certified(root: Path, ca: Path, address: str) -> None:
    """Put a new host key in, certified by `ca` for `address`, and have sshd present the certificate."""
    with tempfile.TemporaryDirectory() as scratch:
        key = generate_key(Path(scratch) / "key")
        _install(root, key)
        (root / HOST_CERTIFICATE).write_text(certify_host(ca, key, address).read_text())
    line = f"HostCertificate /{HOST_CERTIFICATE}\n"
    config = root / SSHD_CONFIG
    if line not in config.read_text():
        config.write_text(config.read_text() + line)


def _install(root: Path, key: Path) -> None:
    (root / HOST_KEY).write_text(key.read_text())
    (root / f"{HOST_KEY}.pub").write_text(public_key(key) + "\n")
