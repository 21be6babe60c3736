"""What a real systemd does with a runner; run in namespaces of its own: python -m tests.node.runner.systemd_story.

It starts a user's systemd, deploys, kills the holder under load, deploys again, and stops the unit.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from mikoshi.node.runner.units import unit_name
from tests.node.runner.ground import Site, failures, load, until

RUNTIME = "/run/user/0"


def prepare(base: Path) -> None:
    """A /run of our own, a user's systemd in it, and a place for its units."""
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


def words_of(pid: int) -> str:
    """A process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
    sys.stdout.write(json.dumps(story(Site(Path(sys.argv[1]) / "nodes", int(sys.argv[2])))))
