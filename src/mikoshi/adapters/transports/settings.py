"""What the SSH configuration says of one host, read by asyncssh and completed where OpenSSH knows more."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from mikoshi.adapters.transports.identities import Identities, choose
from mikoshi.adapters.transports.known_hosts import Trust, trust_in
from mikoshi.adapters.transports.ssh_config_check import refuse_unsupported
from mikoshi.core.address import Address
from mikoshi.core.errors import SshConfigUnusable

_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
_USER_KNOWN = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
_GLOBAL_KNOWN = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


@dataclass(frozen=True)
class Settings:
    """Where a host really is, who logs in with what, whom to believe, and which way leads there.

    `jumps` and `proxy_command` are mutually exclusive. `chosen` names what the user's configuration decides about
    algorithms, so that nothing is put in its place.
    """

    host: str
    port: int
    user: str
    files: tuple[Path, ...]
    jumps: tuple[str, ...]
    proxy_command: str
    identities: Identities
    trust: Trust
    chosen: frozenset[str]


def read_settings(address: Address, config: Path | None) -> Settings:
    """The settings for `address`. Raises SshConfigUnusable."""
    files = _config_files(config)
    try:
        options = asyncssh.SSHClientConnectionOptions(
            config=[str(file) for file in files],
            host=address.host,
            port=address.port or (),
            username=address.user or (),
            client_keys=None,
            known_hosts=b"",
            x509_trusted_certs=None,
            x509_trusted_cert_paths=[],
        )
        found: Any = options.config
        facts = {
            "host": options.host,
            "originalhost": address.host,
            "user": options.username,
            "localuser": getpass.getuser(),
        }
        refuse_unsupported(files, facts)
        tokens = _tokens(facts, options.port, found.get("HostKeyAlias"))
        known = _known_hosts_files(found, tokens)
        trust = trust_in(found.get("HostKeyAlias") or options.host, options.port, address.host_key, known)
    except (ValueError, OSError) as error:
        raise SshConfigUnusable(str(files[0]) if files else "", "", str(error)) from None
    jump = found.get("ProxyJump") or ""
    return Settings(
        host=options.host,
        port=options.port,
        user=options.username,
        files=files,
        jumps=tuple(jump.split(",")) if jump else (),
        proxy_command="" if jump else found.get("ProxyCommand") or "",
        identities=choose(
            found.get("IdentityFile"),
            found.get("CertificateFile", []),
            "none" if found.get("IdentityAgent", "") is None else found.get("IdentityAgent"),
            bool(found.get("IdentitiesOnly")),
        ),
        trust=trust,
        chosen=frozenset(name for name in ("Ciphers", "HostKeyAlgorithms") if found.get(name)),
    )


def _config_files(config: Path | None) -> tuple[Path, ...]:
    """The file given, else the user's and the system's where they are there."""
    if config is not None:
        return (config,)
    return tuple(file for file in (Path("~/.ssh/config").expanduser(), _SYSTEM_CONFIG) if os.access(file, os.R_OK))


def _known_hosts_files(found: Any, tokens: dict[str, str]) -> list[Path]:
    names: Sequence[str] = (
        *found.get("UserKnownHostsFile", _USER_KNOWN),
        *found.get("GlobalKnownHostsFile", _GLOBAL_KNOWN),
    )
    expanded = [re.sub("%(.)", lambda match: tokens.get(match[1], match[0]), name) for name in names]
    return [Path(name).expanduser() for name in expanded]


def _tokens(facts: dict[str, str], port: int, alias: str | None) -> dict[str, str]:
    """What % stands for in the name of a known_hosts file (ssh_config(5), TOKENS)."""
    return {
        "%": "%",
        "d": str(Path.home()),
        "h": facts["host"],
        "i": str(os.getuid()),
        "k": alias or facts["originalhost"],
        "n": facts["originalhost"],
        "p": str(port),
        "r": facts["user"],
        "u": facts["localuser"],
    }
