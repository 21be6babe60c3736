"""Starts a runner, and gives a running one newer sources: under systemd where that is there, else as a daemon.

The sources are copied into the environment's own directory: the engine's directory is pruned, and a holder that lives
for months starts runners from what it was given.
"""

from __future__ import annotations

import hashlib
import os
import subprocess

from mikoshi.node import bare
from mikoshi.node.bare import PATH
from mikoshi.node.files import Files
from mikoshi.node.runner.spawn import python

KEPT = 3
_PACKAGES = ("core", "node", "drain")


def sources() -> dict[str, bytes]:
    """The files of this engine that a runner may need, by name."""
    found = {"mikoshi/__init__.py": b'"""The part of Mikoshi that works on a server."""\n'}
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
    _prune(directory, files)
    return directory


def _prune(newest: str, files: Files) -> None:
    """Remove older sources: not the last ones, whose helpers processes may still be using."""
    above = os.path.dirname(newest)
    others = [os.path.join(above, name) for name in os.listdir(above) if os.path.join(above, name) != newest]
    for path in sorted(others, key=os.path.getmtime)[: -(KEPT - 1)]:
        files.remove_tree(path)


def daemonize(root: str, code: str) -> None:
    """Start a holder that belongs to nobody's session. Returns at once."""
    command = python(code, "mikoshi.node.runner.holder", root, code)
    log = os.path.join(root, "log", "runner.err")
    script = 'log=$1; shift; "$@" </dev/null >/dev/null 2>>"$log" &'
    subprocess.run(
        ["/bin/sh", "-c", script, "sh", log, *command],
        check=True,
        cwd="/",
        env={"PATH": PATH, "LANG": "C.UTF-8"},
        start_new_session=True,
    )
