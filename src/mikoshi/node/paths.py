"""Where everything of one environment stands on a node (docs/design: On a node). Names only; nothing is touched."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from mikoshi.core.errors import PathUnusable

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
GONE = ".gone-"


@dataclass(frozen=True)
class DeploymentPaths:
    """The files of one deployment. `record` appears last and means: complete. Until then `intent` stands there."""

    root: str

    @property
    def tree(self) -> str:
        """The application's files, read-only."""
        return os.path.join(self.root, "tree")

    @property
    def manifest(self) -> str:
        """The encoded manifest."""
        return os.path.join(self.root, "manifest")

    @property
    def index(self) -> str:
        """The transfer index."""
        return os.path.join(self.root, "index")

    @property
    def env(self) -> str:
        """The processes' environment."""
        return os.path.join(self.root, "env")

    @property
    def record(self) -> str:
        """The commit point of staging."""
        return os.path.join(self.root, "record")

    @property
    def intent(self) -> str:
        """What the record will say, while staging is not complete."""
        return os.path.join(self.root, "intent")

    @property
    def partial(self) -> str:
        """Content that is arriving."""
        return os.path.join(self.root, "partial")


@dataclass(frozen=True)
class EnvironmentPaths:
    """The directory of one environment and what stands in it. `base` is absolute."""

    base: str
    app: str
    env: str

    @property
    def root(self) -> str:
        """The environment's directory."""
        return os.path.join(self.base, self.app, self.env)

    def below(self, *names: str) -> str:
        """A path in the environment's directory."""
        return os.path.join(self.root, *names)

    @property
    def deployments(self) -> str:
        """The directory of all deployments."""
        return self.below("deployments")

    def deployment(self, seq: int) -> DeploymentPaths:
        """The files of one deployment."""
        return DeploymentPaths(self.below("deployments", str(seq)))

    @property
    def current(self) -> str:
        """The link to the tree that runs."""
        return self.below("current")

    @property
    def shared(self) -> str:
        """What outlives deployments."""
        return self.below("shared")

    @property
    def journal(self) -> str:
        """What was begun and what was ended."""
        return self.below("journal")

    @property
    def history(self) -> str:
        """The audit trail."""
        return self.below("history")

    @property
    def fingerprints(self) -> str:
        """What was hashed already, by inode; may be removed at any time."""
        return self.below("fingerprints")

    @property
    def lease(self) -> str:
        """The lease."""
        return self.below("lease")

    @property
    def key(self) -> str:
        """The environment's HMAC key (anchor only)."""
        return self.below("key")

    @property
    def fleet(self) -> str:
        """The fleet's records (anchor only)."""
        return self.below("fleet")

    @property
    def logs(self) -> str:
        """What commands printed."""
        return self.below("log")

    @property
    def run(self) -> str:
        """What belongs to processes that run."""
        return self.below("run")

    @property
    def command(self) -> str:
        """Which command is running."""
        return os.path.join(self.run, "command")

    @property
    def stopped(self) -> str:
        """Stands while the processes are to stay ended; the runner writes and removes it."""
        return self.below("stopped")

    def bytecode(self, seq: int) -> str:
        """Where a deployment's Python processes keep compiled modules, outside every tree.

        It may be the application's own, but the directory above it never is: nobody can put a link in its place.
        """
        return os.path.join(self.run, "pycache", str(seq))


def environment_paths(path: str, app: str, env: str, root: bool, home: str) -> EnvironmentPaths:
    """The paths of an environment; `path` "" is the default. Raises PathUnusable for names that lead elsewhere."""
    for name in (app, env):
        if not _NAME.match(name):
            raise PathUnusable(path or name, f"{name!r} is not a plain name")
    base = path or ("/srv/mikoshi" if root else os.path.join(home, "mikoshi"))
    if base == "~" or base.startswith("~/"):
        base = home + base[1:]
    if not os.path.isabs(base) or "\0" in base:
        raise PathUnusable(base, "the path of an environment is absolute")
    return EnvironmentPaths(os.path.normpath(base), app, env)
