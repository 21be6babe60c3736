"""The runner as a unit of systemd: of the system where we are root, else of the user, if that one lingers.

Options as in systemd.service(5), systemd.exec(5), systemd.kill(5). Processes are the runner's to end, so systemd kills
nothing but the holder (KillMode=process), and keeps the listening sockets while no holder is there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zlib
from dataclasses import dataclass

from mikoshi.core.errors import RunnerUnavailable
from mikoshi.node import machine
from mikoshi.node.files import Files

WITHOUT = "MIKOSHI_WITHOUT_SYSTEMD"  # set for an engine whose runners are to be daemons
_LIMIT = 60.0  # seconds for one answer of systemctl
_TEMPLATE = """\
# Made by Mikoshi for {root}. A deploy writes it anew where it differs.
[Unit]
Description={app} {env}, kept by Mikoshi
{after}StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={start}
KillMode=process
TimeoutStopSec=15min
Restart=always
RestartSec=100ms
FileDescriptorStoreMax=128
Delegate=yes
OOMPolicy=continue

[Install]
WantedBy={target}
"""


@dataclass(frozen=True)
class Manager:
    """A systemd that may start things for us: `user` or the system's. `directory` is where its units stand."""

    user: bool
    directory: str
    runtime: str

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run systemctl. Raises RunnerUnavailable if it does not answer."""
        environment = {**os.environ, **({"XDG_RUNTIME_DIR": self.runtime} if self.user else {})}
        command = ["systemctl", *(["--user"] if self.user else []), "--no-ask-password", *words]
        try:
            return subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environment,
                timeout=_LIMIT,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RunnerUnavailable(f"systemctl: {error}") from error

    def must(self, *words: str) -> None:
        """Run systemctl; RunnerUnavailable with what it says if it fails."""
        done = self.run(*words)
        if done.returncode != 0:
            raise RunnerUnavailable(f"systemctl {' '.join(words)}: {done.stderr.strip() or done.returncode}")


def manager() -> Manager | None:
    """The systemd to use; None where there is none, where it would end with the login, or where it is not wanted."""
    if os.environ.get(WITHOUT):
        return None
    own = machine.user_of(os.geteuid())
    if own.uid == 0 and os.path.exists("/run/systemd/private"):
        return Manager(False, "/etc/systemd/system", "")
    runtime = f"/run/user/{own.uid}"
    if os.path.exists(f"{runtime}/systemd/private") and lingers(own.name):
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(own.home, ".config")
        return Manager(True, os.path.join(config, "systemd/user"), runtime)
    return None


def lingers(user: str) -> bool:
    """Whether a user's services are there without a login (loginctl(1): enable-linger)."""
    return os.path.exists(f"/var/lib/systemd/linger/{user}")


def unit_name(root: str) -> str:
    """The unit of the environment in `root`: its application, its name, and where it stands if that is unusual."""
    base, app, env = root.rsplit("/", 2)
    usual = base == "/srv/mikoshi" or base == os.path.expanduser("~/mikoshi")
    return f"mikoshi-{app}-{env}{'' if usual else f'-{zlib.crc32(base.encode()):08x}'}.service"


def unit_text(root: str, python: str, user: bool) -> str:
    """The unit file."""
    app, env = root.split("/")[-2:]
    words = [python, "-I", "-S", "-X", "utf8", os.path.join(root, "runner", "now"), root]
    return _TEMPLATE.format(
        root=root,
        app=app,
        env=env,
        start=" ".join(map(_quoted, words)),
        after="" if user else "Wants=network-online.target\nAfter=network-online.target\n",
        target="default.target" if user else "multi-user.target",
    )


def _quoted(word: str) -> str:
    """A word of ExecStart: quoted, and its specifiers and variables kept from meaning anything."""
    plain = word.replace("%", "%%").replace("$", "$$")
    return plain if re.fullmatch(r"[A-Za-z0-9_./%$:=+-]+", plain) else '"' + re.sub(r'(["\\])', r"\\\1", plain) + '"'


def start(root: str, found: Manager, files: Files) -> None:
    """Have systemd start the holder, now and at every boot. Raises RunnerUnavailable."""
    path, text = os.path.join(found.directory, unit_name(root)), unit_text(root, sys.executable, found.user)
    if _read(path) != text:
        files.make_directories(found.directory)
        files.replace(path, text.encode())
        found.must("daemon-reload")
    found.must("enable", "--now", unit_name(root))


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
