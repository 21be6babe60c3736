"""The files that make a new disk a host of its own: users, keys, sshd's configuration, empty homes.

Everything is written into the overlay's upper directory before the host's first boot.
"""

from __future__ import annotations

import os
import stat
import uuid
from dataclasses import dataclass
from pathlib import Path

from mikoshi.testing.hosts.addresses import PORT
from mikoshi.testing.hosts.keys import FleetKeys, public_key
from mikoshi.testing.hosts.spec import HostKind

DEPLOY_UID = 1000
SHOP_UID = 1001
HOST_KEY = Path("etc/ssh/ssh_host_ed25519_key")
HOST_CERTIFICATE = Path("etc/ssh/ssh_host_ed25519_key-cert.pub")
SSHD_CONFIG = Path("etc/ssh/sshd_config")

_PASSWD = f"""\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
sshd:x:100:65534::/run/sshd:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
deploy:x:{DEPLOY_UID}:{DEPLOY_UID}:the SSH user:/home/deploy:/bin/bash
shop:x:{SHOP_UID}:{SHOP_UID}:the application:/home/shop:/bin/bash
"""
_GROUP = f"""\
root:x:0:
daemon:x:1:
tty:x:5:
sudo:x:27:
www-data:x:33:
shadow:x:42:
nogroup:x:65534:
deploy:x:{DEPLOY_UID}:
shop:x:{SHOP_UID}:
"""
# "*" is no password; "!" would be a locked account, which sshd without PAM refuses.
_SHADOW = "".join(f"{line.split(':')[0]}:*:19000:0:99999:7:::\n" for line in _PASSWD.splitlines())
_SUDOERS = """\
Defaults env_reset
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
root ALL=(ALL:ALL) ALL
"""
# This machine's content is hidden there: a host starts with empty homes and without its shell start files.
_EMPTY = ("root", "home", "srv", "mnt", "var/tmp", "var/www", "etc/ssh", "etc/sudoers.d", "etc/profile.d")


@dataclass(frozen=True)
class Seed:
    """What tells one host from another on its disk."""

    name: str
    address: str
    kind: HostKind
    keys: FleetKeys
    without: tuple[str, ...]

    def write(self, upper: Path) -> None:
        """Write the host's files into the empty overlay directory `upper`."""
        for name in _EMPTY:
            directory = _make_directory(upper, Path(name))
            os.setxattr(directory, "trusted.overlay.opaque", b"y")
        (upper / "root").chmod(0o700)
        (upper / "var/tmp").chmod(0o1777)
        self._write_homes(upper)
        for name, (mode, text) in self._files().items():
            _write(upper, Path(name), mode, text)
        for path in self.without:
            _hide(upper, Path(path.lstrip("/")))

    def _files(self) -> dict[str, tuple[int, str]]:
        may_sudo = f"{self.kind.user} ALL=(ALL:ALL) NOPASSWD: ALL\n" if self.kind is HostKind.SUDO else ""
        return {
            "etc/passwd": (0o644, _PASSWD),
            "etc/group": (0o644, _GROUP),
            "etc/shadow": (0o640, _SHADOW),
            "etc/sudoers": (0o440, _SUDOERS + may_sudo),
            "etc/hostname": (0o644, f"{self.name}\n"),
            "etc/hosts": (0o644, f"127.0.0.1 localhost\n{self.address} {self.name}\n"),
            "etc/machine-id": (0o444, f"{uuid.uuid4().hex}\n"),
            "etc/environment": (0o644, ""),
            "etc/bash.bashrc": (0o644, ""),
            str(HOST_KEY): (0o600, self.keys.host.read_text()),
            f"{HOST_KEY}.pub": (0o644, public_key(self.keys.host) + "\n"),
            "etc/ssh/user_ca.pub": (0o644, public_key(self.keys.user_ca) + "\n"),
            str(SSHD_CONFIG): (0o644, sshd_config(self.address, self.kind)),
        }

    def _write_homes(self, upper: Path) -> None:
        for user, uid in (("deploy", DEPLOY_UID), ("shop", SHOP_UID)):
            home = _make_directory(upper, Path("home", user))
            os.chown(home, uid, uid)
        owner = 0 if self.kind is HostKind.ROOT else DEPLOY_UID
        home = upper / ("root" if self.kind is HostKind.ROOT else "home/deploy")
        keys = home / ".ssh/authorized_keys"
        keys.parent.mkdir(mode=0o700)
        keys.write_text(public_key(self.keys.client) + "\n")
        keys.chmod(0o600)
        os.chown(keys.parent, owner, owner)
        os.chown(keys, owner, owner)


def sshd_config(address: str, kind: HostKind) -> str:
    """The configuration of a host's sshd: keys and certificates only, and room for many sessions at once."""
    return f"""\
ListenAddress {address}:{PORT}
HostKey /{HOST_KEY}
PidFile none
UsePAM no
UseDNS no
StrictModes no
PermitRootLogin {"prohibit-password" if kind is HostKind.ROOT else "no"}
PasswordAuthentication no
KbdInteractiveAuthentication no
TrustedUserCAKeys /etc/ssh/user_ca.pub
AllowTcpForwarding yes
AllowAgentForwarding yes
AllowStreamLocalForwarding yes
MaxSessions 200
MaxStartups 500
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
"""


def _make_directory(upper: Path, relative: Path) -> Path:
    """Make a directory with its parents, each 0755 whatever the umask: they shadow this machine's own."""
    directory = upper
    for part in relative.parts:
        directory = directory / part
        if not directory.is_dir():
            directory.mkdir()
            directory.chmod(0o755)
    return directory


def _write(upper: Path, relative: Path, mode: int, text: str) -> None:
    path = _make_directory(upper, relative.parent) / relative.name
    path.write_text(text)
    path.chmod(mode)


def _hide(upper: Path, relative: Path) -> None:
    """Hide a file of the layer below: overlayfs takes a character device 0/0 for a removed file."""
    path = _make_directory(upper, relative.parent) / relative.name
    os.mknod(path, stat.S_IFCHR, os.makedev(0, 0))
