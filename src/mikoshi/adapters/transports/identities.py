"""What to log in with: key files, certificates and the agent, chosen as OpenSSH chooses them.

A file that is missing, encrypted or only a public key is no error: the agent may hold the key. The same goes for a
key on a FIDO token, if the library that talks to it is missing.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import asyncssh

DEFAULTS = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
Certified = tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]


@dataclass(frozen=True)
class Identities:
    """`keys` come after those of the agent at `agent` ("" for none); of those only `agent_keys`, if not None."""

    keys: tuple[asyncssh.SSHKey | Certified, ...]
    agent: str
    agent_keys: tuple[asyncssh.SSHKey, ...] | None


def choose(files: Sequence[str] | None, certificates: Sequence[str], agent: str | None, only: bool) -> Identities:
    """Identities from IdentityFile (None: the usual names), CertificateFile, IdentityAgent and IdentitiesOnly."""
    usual = [str(Path("~/.ssh", name)) for name in DEFAULTS]
    paths = [Path(file).expanduser() for file in (usual if files is None else files)]
    pairs = _certificates([Path(file).expanduser() for file in certificates])
    keys: list[asyncssh.SSHKey | Certified] = []
    public: list[asyncssh.SSHKey] = []
    for path in paths:
        key = _private(path, *_stamp(path))
        shown = key or _public(path)
        if shown is not None:
            public.append(shown)
        if key is not None:
            own = pairs | _certificates([path.with_name(path.name + "-cert.pub")])
            certificate = own.get(key.public_data)
            keys.append(key if certificate is None else (key, certificate))
    socket = _agent_socket(agent)
    if only and not public:
        socket = ""
    return Identities(tuple(keys), socket, tuple(public) if only else None)


def _agent_socket(agent: str | None) -> str:
    """IdentityAgent: a path, "none", "SSH_AUTH_SOCK" or "$NAME"; None if it is not set."""
    if agent is None or agent == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK", "")
    if agent.startswith("$"):
        return os.environ.get(agent[1:].strip("{}"), "")
    return "" if agent.lower() == "none" else str(Path(agent).expanduser())


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=64)
def _private(path: Path, _changed: int, _size: int) -> asyncssh.SSHKey | None:
    """The private key in a file, or None. Checking an RSA key costs up to 0.1 s: once for all hosts."""
    try:
        key = asyncssh.read_private_key(path)
    except (OSError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        return None
    on_token = key.get_algorithm().startswith("sk-")
    return None if on_token and importlib.util.find_spec("fido2") is None else key


def _public(path: Path) -> asyncssh.SSHKey | None:
    for candidate in (path.with_name(path.name + ".pub"), path):
        try:
            return asyncssh.read_public_key(candidate)
        except (OSError, asyncssh.KeyImportError):
            continue
    return None


def _certificates(files: Iterable[Path]) -> dict[bytes, asyncssh.SSHCertificate]:
    found = {}
    for file in files:
        try:
            certificate = asyncssh.read_certificate(file)
        except (OSError, asyncssh.KeyImportError):
            continue
        found[certificate.key.public_data] = certificate
    return found
