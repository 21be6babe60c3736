"""Whom to believe: which host keys are known for a host, by pin or by known_hosts files as OpenSSH reads them.

Only reads. Nothing is ever added to a file, and nothing unknown is ever accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import asyncssh

# As OpenSSH prefers them; RSA with SHA-1 is not among them.
_ALGORITHMS = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "rsa-sha2-512", "rsa-sha2-256"),
)
_CERTIFIED = {name: name.removesuffix("@openssh.com") + "-cert-v01@openssh.com" for name in _ALGORITHMS}


@dataclass(frozen=True)
class Trust:
    """What is believed of one host: its `keys`, or the one with `fingerprint`, or keys signed by `authorities`."""

    keys: tuple[asyncssh.SSHKey, ...] = ()
    authorities: tuple[asyncssh.SSHKey, ...] = ()
    revoked: tuple[asyncssh.SSHKey, ...] = ()
    fingerprint: str = ""

    @property
    def known(self) -> bool:
        """Whether a key of this host is known, so that another one is a changed key."""
        return bool(self.keys or self.fingerprint)

    def lookup(self, _host: str, _address: str, _port: int | None) -> tuple[list[asyncssh.SSHKey], ...]:
        """The same in the shape that asyncssh asks for."""
        return list(self.keys), list(self.authorities), list(self.revoked)

    def algorithms(self) -> list[str]:
        """What to ask the host for: certificates where an authority is known, known kinds of key, then the others."""
        kinds = {kind for key in self.keys for kind in _signatures(key.get_algorithm())}
        plain = sorted(_ALGORITHMS, key=lambda name: name not in kinds)
        return [_CERTIFIED[name] for name in _ALGORITHMS if self.authorities] + plain


def trust_in(host: str, port: int, pin: str, files: Sequence[Path]) -> Trust:
    """What `files` say of `host`; with a `pin` ("SHA256:…" or "ssh-ed25519 AAAA…") that alone, less what is revoked.

    Raises ValueError for a pin that is neither.
    """
    keys, authorities, revoked = _read(tuple((file, *_stamp(file)) for file in files)).match(
        host, "", None if port == 22 else port
    )[:3]
    if pin.startswith("SHA256:"):
        return Trust(revoked=tuple(revoked), fingerprint=pin.rstrip("="))
    if pin:
        keys, authorities = [asyncssh.import_public_key(pin)], []
    return Trust(tuple(keys), tuple(authorities), tuple(revoked))


def _signatures(algorithm: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256") if algorithm == "ssh-rsa" else (algorithm,)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=16)
def _read(files: tuple[tuple[Path, int, int], ...]) -> asyncssh.SSHKnownHosts:
    """All lines of all files that are there; a line that makes no sense is skipped, as OpenSSH does."""
    known = asyncssh.import_known_hosts("")
    for file, _, _ in files:
        try:
            text = file.read_text(errors="surrogateescape")
        except OSError:
            continue
        for line in text.splitlines():
            try:
                known.load(line)
            except ValueError:
                continue
    return known
