"""The command line of the system's ssh, and the files that make it strict.

ssh passes a file given by -F on to the logins of ProxyJump, and options not: so what must hold on every hop is in a
file that includes the user's own configuration.
"""

from __future__ import annotations

import contextlib
import math
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mikoshi.adapters.transports.ssh_options import KEEPALIVES, SshOptions
from mikoshi.core.address import Address

_STRICT = """\
BatchMode yes
StrictHostKeyChecking yes
UpdateHostKeys no
VerifyHostKeyDNS no
ClearAllForwardings yes
ForwardAgent no
PermitLocalCommand no
RemoteCommand none
RequestTTY no
ControlMaster no
LogLevel ERROR
"""
# Writes down which key the host shows; says that it is known if it is the pinned one. $1 is "NONE" when ssh asks for
# the order of algorithms (ssh_config(5), TOKENS of KnownHostsCommand).
_WITNESS = """\
[ "$1" = NONE ] && exit 0
printf '%s %s %s\\n' "$1" "$2" "$3" >{shown}
[ "$1" = {pin} ] && printf '* %s %s\\n' "$2" "$3"
exit 0
"""


@dataclass(frozen=True)
class SshCommand:
    """How ssh is run for one host. `arguments` come before the remote command."""

    arguments: tuple[str, ...]
    shown_file: Path

    def remote(self, command: str) -> list[str]:
        """The whole command line that runs `command` there."""
        return [*self.arguments, command]

    def resolve(self) -> list[str]:
        """The command line that prints what the configuration says of the host."""
        return [self.arguments[0], "-G", *self.arguments[1:]]

    def shown(self) -> tuple[str, str]:
        """Fingerprint and base64 of the key that the host showed; both empty if it did not come as far as that."""
        try:
            fingerprint, _, key = self.shown_file.read_text().split()
        except (OSError, ValueError):
            return "", ""
        return fingerprint, key


@contextlib.contextmanager
def ssh_command(program: str, witnessed: bool, options: SshOptions, address: Address) -> Iterator[SshCommand]:
    """The command for `address`, while its files are there. `witnessed`: this ssh has KnownHostsCommand."""
    with tempfile.TemporaryDirectory(prefix="mikoshi-ssh-") as name:
        directory = Path(name)
        config = directory / "config"
        config.write_text(_STRICT + _keepalives(options) + "".join(_includes(options.config)))
        arguments = [program, "-F", str(config), "-T", *_trust(directory, address.host_key, witnessed)]
        if address.port:
            arguments += ["-p", str(address.port)]
        if address.user:
            arguments += ["-l", address.user]
        yield SshCommand((*arguments, "--", address.host), directory / "shown")


def _keepalives(options: SshOptions) -> str:
    return (
        f"ConnectTimeout {max(1, math.ceil(options.connect))}\n"
        f"ServerAliveInterval {max(1, math.ceil(options.keepalive))}\nServerAliveCountMax {KEEPALIVES}\n"
    )


def _includes(config: Path | None) -> Iterator[str]:
    files = [Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config")] if config is None else [config.absolute()]
    yield from (f'Include "{file}"\n' for file in files)


def _trust(directory: Path, pin: str, witnessed: bool) -> Iterator[str]:
    if witnessed:
        witness = directory / "witness"
        shown = shlex.quote(str(directory / "shown"))
        witness.write_text(_WITNESS.format(shown=shown, pin=shlex.quote(pin.rstrip("=") or "none")))
        yield from ("-o", f'KnownHostsCommand=/bin/sh "{witness}" %f %t %K')
    if pin:
        known = directory / "known_hosts"
        known.write_text("" if pin.startswith("SHA256:") else f"* {pin}\n")
        yield from ("-o", f'UserKnownHostsFile="{known}"', "-o", "GlobalKnownHostsFile=none", "-o", "CheckHostIP=no")
