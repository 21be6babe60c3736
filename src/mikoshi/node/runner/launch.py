"""Starts a runner, and gives a running one newer sources: under systemd where that is there, else as a daemon.

The sources are copied into the environment's own directory: the engine's directory is pruned, and a holder that lives
for months starts runners from what it was given.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

from mikoshi.core.errors import RunnerUnavailable
from mikoshi.node import bare
from mikoshi.node.bare import PATH
from mikoshi.node.files import Files
from mikoshi.node.runner import units

KEPT = 3
_MAIN = b"""\
import os
import sys

from mikoshi.node.runner.holder import main

sys.exit(main([sys.argv[1], os.path.realpath(sys.path[0])]))
"""
_PACKAGES = ("core", "node", "drain")


def sources() -> dict[str, bytes]:
    """The files of this engine that a runner may need, by name."""
    found = {"mikoshi/__init__.py": b'"""The part of Mikoshi that works on a server."""\n', "__main__.py": _MAIN}
    top = os.path.dirname(os.path.dirname(bare.__file__))
    for package in _PACKAGES:
        for directory, _, names in os.walk(os.path.join(top, package)):
            for name in names:
                if name.endswith((".py", ".js")):
                    path = os.path.join(directory, name)
                    with open(path, "rb") as file:
                        found[os.path.relpath(path, os.path.dirname(top))] = file.read()
    return found


def install(root: str, files: Files) -> str:
    """Make sure that these sources stand below the environment's directory; the directory they are in."""
    wanted = sources()
    digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + wanted[name] for name in sorted(wanted))).hexdigest()
    directory = os.path.join(root, "runner", digest[:16])
    if os.path.isdir(directory):
        _point(directory, files)
        return directory
    temporary = files.temporary(directory)
    if os.path.isdir(temporary):
        files.remove_tree(temporary)
    for name, content in sorted(wanted.items()):
        path = os.path.join(temporary, name)
        files.make_directories(os.path.dirname(path))
        file = files.create(path)
        try:
            files.write(file, content, 0)
            files.sync(file)
        finally:
            files.close(file)
    files.rename(temporary, directory)
    files.sync_path(os.path.dirname(directory))
    _point(directory, files)
    _prune(directory, files)
    return directory


def _point(directory: str, files: Files) -> None:
    """Let `runner/now`, which systemd starts, lead to these sources."""
    link = os.path.join(os.path.dirname(directory), "now")
    if os.path.islink(link) and os.readlink(link) == os.path.basename(directory):
        return
    temporary = files.temporary(link)
    files.discard(temporary)
    files.symlink(os.path.basename(directory), temporary)
    files.rename(temporary, link)
    files.sync_path(os.path.dirname(directory))


def _prune(newest: str, files: Files) -> None:
    """Remove older sources: not the last ones, whose helpers processes may still be using."""
    above = os.path.dirname(newest)
    found = [os.path.join(above, name) for name in os.listdir(above)]
    others = [path for path in found if path != newest and not os.path.islink(path)]
    for path in sorted(others, key=os.path.getmtime)[: -(KEPT - 1)]:
        files.remove_tree(path)


def start(root: str, code: str, files: Files) -> None:
    """Start a holder: by systemd where that can be, else as a daemon. Raises RunnerUnavailable."""
    if not sys.platform.startswith("linux"):
        raise RunnerUnavailable(f"it needs Linux, and this is {sys.platform}: set `restart` instead")
    found = units.manager()
    if found is not None:
        units.start(root, found, files)
    else:
        daemonize(root, code)


def daemonize(root: str, code: str) -> None:
    """Start a holder that belongs to nobody's session. Returns at once."""
    command = [sys.executable, "-I", "-S", "-X", "utf8", code, root]
    log = os.path.join(root, "log", "runner.err")
    script = 'log=$1; shift; "$@" </dev/null >/dev/null 2>>"$log" &'
    subprocess.run(
        ["/bin/sh", "-c", script, "sh", log, *command],
        check=True,
        cwd="/",
        env={"PATH": PATH, "LANG": "C.UTF-8"},
        start_new_session=True,
    )
