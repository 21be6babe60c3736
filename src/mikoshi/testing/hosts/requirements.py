"""What this machine lacks for starting hosts, in words that say the remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
PROGRAMS = {
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sudo": "sudo",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "pivot_root": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "hostname": "hostname",
}


def program(name: str) -> str | None:
    """The path of a program, looked for where system programs are too, or None."""
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:{SBIN}")


def missing_requirements() -> list[str]:
    """One line for each thing that is lacking; empty if hosts can be started."""
    if not sys.platform.startswith("linux"):
        return [f"test hosts are made of Linux namespaces; this is {sys.platform}"]
    missing = [
        f"{name} is not installed (Debian package {package})"
        for name, package in PROGRAMS.items()
        if program(name) is None
    ]
    if not Path("/usr/bin/python3").exists():
        missing.append("/usr/bin/python3 is not installed (Debian package python3)")
    if os.geteuid() != 0:
        missing.append("starting hosts needs root")
    elif "\toverlay\n" not in Path("/proc/filesystems").read_text():
        missing.append("the kernel has no overlay file system (modprobe overlay)")
    elif not missing and not _may_unshare():
        missing.append("this machine does not let root make namespaces (a container? run it privileged)")
    return missing


def _may_unshare() -> bool:
    probe = ["unshare", "--mount", "--pid", "--time", "--fork", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0
