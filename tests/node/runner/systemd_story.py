"""What a real systemd does with a runner; run in namespaces of its own: python -m tests.node.runner.systemd_story.

Called from outside it first enters those namespaces. Then it starts a user's systemd, deploys, kills the holder under
load, deploys again, stops the unit, and moves in where another unit was.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from mikoshi.node.runner.units import unit_name
from tests.node.client import Refusal
from tests.node.runner import own_cgroups
from tests.node.runner.ground import Site, failures, load, until

RUNTIME = "/run/user/0"
OLD = """import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = server.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\nConnection: close\\r\\n\\r\\nold")
    connection.close()
"""


def prepare(base: Path) -> None:
    """A /run of our own, a user's systemd in it, and a place for its units."""
    own_cgroups.mount_anew()
    for place in ("/run", "/var/lib/systemd"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    for directory in ("/run/systemd/system", RUNTIME, "/var/lib/systemd/linger"):
        os.makedirs(directory, mode=0o700)
    Path("/var/lib/systemd/linger/root").touch()
    os.environ["XDG_CONFIG_HOME"] = str(base / "config")
    os.environ["XDG_RUNTIME_DIR"] = RUNTIME
    log = (base / "systemd.log").open("wb")
    subprocess.Popen(["/lib/systemd/systemd", "--user", "--log-target=console"], stdout=log, stderr=log)
    until(lambda: systemctl("is-system-running") in ("running", "degraded", "starting"))


def systemctl(*words: str) -> str:
    """What systemctl says."""
    command = ["systemctl", "--user", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.strip()


def story(site: Site) -> dict[str, Any]:
    """What happened."""
    unit = unit_name(str(site.root))
    site.deploy()
    served = [site.serving()]
    told: dict[str, Any] = {"enabled": systemctl("is-enabled", unit) == "enabled"}
    with load(site) as counts:
        holder = site.ask("hello")["holder"]
        os.kill(holder, signal.SIGKILL)
        until(lambda: site.ask("hello")["holder"] != holder)
        served.append(site.serving())
        site.deploy()
        served.append(site.serving())
    told["holder_changed"] = systemctl("show", "--value", "-p", "MainPID", unit) == str(site.ask("hello")["holder"])
    systemctl("stop", unit)
    until(lambda: not [pid for pid in site.left() if "systemd_story" not in words_of(pid)])
    return {**told, "served": served, "failures": failures(counts)}


def moving_in(site: Site, base: Path) -> dict[str, Any]:
    """The application ran as a unit of its own before: `replaces` takes its place, or gives it back."""
    (base / "old.py").write_text(OLD)
    units = base / "config" / "systemd" / "user"
    units.mkdir(parents=True, exist_ok=True)
    command = f"{sys.executable} {base}/old.py {site.port}"
    (units / "old.service").write_text(f"[Service]\nExecStart={command}\n[Install]\nWantedBy=default.target\n")
    systemctl("daemon-reload")
    systemctl("enable", "--now", "old.service")
    until(lambda: answers(site) == "old")
    settings = replace(site.settings(), replaces="old.service")
    told: dict[str, Any] = {}
    for mode in ("crash", "crash-in-public", ""):
        try:
            site.deploy(mode, settings)
            told[f"{mode} refused"] = ""
        except Refusal as refusal:
            told[f"{mode} refused"] = type(refusal.error).__name__
        until(lambda: answers(site))
        told[f"{mode} serves"] = answers(site)
    told["old"] = [systemctl("is-active", "old.service"), systemctl("is-enabled", "old.service")]
    systemctl("stop", unit_name(str(site.root)))
    return told


def answers(site: Site) -> str:
    """Who answers; "" for nobody."""
    try:
        return site.get().split()[0]
    except OSError:
        return ""


def words_of(pid: int) -> str:
    """A process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


if __name__ == "__main__":
    place, port, outside = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if outside:
        own_cgroups.enter(outside[0])
        namespaces = ("--mount", "--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc")
        again = [sys.executable, "-m", "tests.node.runner.systemd_story", *sys.argv[1:3]]
        os.execvp("unshare", ["unshare", *namespaces, "--propagation", "private", *again])
    prepare(place)
    first = story(Site(place / "nodes", port))
    second = moving_in(Site(place / "others", port), place)
    sys.stdout.write(json.dumps({**first, "moving in": second}))
