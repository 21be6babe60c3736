"""Why ssh ended with 255, found out without reading its sentences: what it resolved, what the host showed, who answers.

Only what those do not tell is reported in ssh's own words.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mikoshi.adapters.transports.openssh_command import SshCommand
from mikoshi.adapters.transports.ssh_options import place
from mikoshi.core.errors import (
    AuthenticationFailed,
    HostKeyChanged,
    HostKeyUnknown,
    HostTimeout,
    HostUnreachable,
    InfrastructureError,
)


@dataclass(frozen=True)
class Target:
    """Where ssh goes, by its own account (`ssh -G`). `direct`: no other host or program is in between."""

    host: str
    port: int
    user: str
    direct: bool
    name: str
    known_hosts: tuple[str, ...]

    @property
    def place(self) -> str:
        """Host and port as people write them."""
        return place(self.host, self.port)


async def diagnose(command: SshCommand, pin: str, words: str, within: float) -> InfrastructureError | None:
    """The typed error for a login that failed; None if the host answers now and the failure may pass.

    `words` is what ssh printed. Takes about `within` seconds at most.
    """
    target = await resolve(command)
    if target is None:
        return HostUnreachable(command.arguments[-1], words)
    fingerprint, key = command.shown()
    if key:
        return await _judge_key(target, pin, fingerprint, key)
    if target.direct:
        return await probe(target, within)
    return HostUnreachable(target.place, words)


async def resolve(command: SshCommand) -> Target | None:
    """What ssh makes of the configuration; None if it refuses it."""
    return _target(await _output(command.resolve()))


def _target(output: str) -> Target | None:
    values: dict[str, str] = {}
    for line in output.splitlines():
        name, _, value = line.partition(" ")
        values.setdefault(name, value)
    if not values.get("hostname", ""):
        return None
    port = int(values["port"])
    alias = values.get("hostkeyalias", "")
    files = f"{values.get('userknownhostsfile', '')} {values.get('globalknownhostsfile', '')}".split()
    return Target(
        host=values["hostname"],
        port=port,
        user=values["user"],
        direct=all(values.get(name, "none") == "none" for name in ("proxyjump", "proxycommand")),
        name=alias or (values["hostname"] if port == 22 else f"[{values['hostname']}]:{port}"),
        known_hosts=tuple(str(Path(file).expanduser()) for file in files),
    )


async def probe(target: Target, within: float) -> InfrastructureError | None:
    """Whether somebody answers at the target's port: the error if not, None if so."""
    phase = "connect"
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection(target.host, target.port)
            try:
                phase = "log in"
                await reader.read(4)
            finally:
                writer.close()
    except TimeoutError:
        return HostTimeout(phase, within)
    except OSError as error:
        return HostUnreachable(target.place, error.strerror or str(error))
    return None


async def _judge_key(target: Target, pin: str, fingerprint: str, key: str) -> InfrastructureError:
    """The host showed `key`: either it is not believed, or what was refused is the login."""
    if pin:
        known, believed = True, pin.rstrip("=") == fingerprint or key in pin.split()
    else:
        lines = await _known_keys(target)
        known = bool(lines)
        believed = ("@revoked", key) not in lines and any(
            marker == "@cert-authority" or (marker, blob) == ("", key) for marker, blob in lines
        )
    if believed:
        return AuthenticationFailed(target.user, target.place)
    return (HostKeyChanged if known else HostKeyUnknown)(target.host, target.port, fingerprint)


async def _known_keys(target: Target) -> list[tuple[str, str]]:
    """Marker and base64 of each key that known_hosts files hold for the target."""
    found = []
    for path in target.known_hosts:
        for line in (await _output(["ssh-keygen", "-F", target.name, "-f", path])).splitlines():
            words = line.split()
            if len(words) > 3 - (not line.startswith("@")) and not line.startswith("#"):
                marker = words.pop(0) if words[0].startswith("@") else ""
                found.append((marker, words[2]))
    return found


async def _output(command: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode(errors="replace")
