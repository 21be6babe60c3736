"""An application whose processes the runner keeps, on local nodes, driven by the real command line.

Every process of it ends with `close`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.node.runner.ground import PROGRAM, PYTHON, Site, free_port
from tests.workbench import Workbench


@dataclass
class Kept:
    """The workbench, and the sites of its nodes by name."""

    bench: Workbench
    sites: dict[str, Site] = field(default_factory=dict)

    @property
    def nodes(self) -> list[str]:
        """The nodes' names."""
        return list(self.sites)

    def configure(self, body: str = "", process: str = "", rollout: str = "") -> None:
        """Write mikoshi.toml; `process` goes into [process.web], `body` behind everything."""
        hosts = ", ".join(
            f'{{ ssh = "{node}", process = {{ web = {{ listen = {site.port} }} }} }}'
            for node, site in self.sites.items()
        )
        text = f"""app = "shop"
[process.web]
command = "{PYTHON}"
health = {{ path = "/up", within = "15s" }}
stop = {{ within = "2s" }}
{process}
[env.production]
hosts = [{hosts}]
path = "{self.bench.root}/nodes"
{rollout}
{body}
"""
        (self.bench.app / "mikoshi.toml").write_text(text)

    def program(self, mode: str = "") -> None:
        """The application's files; `mode` as in ground.PROGRAM."""
        self.bench.write({"serve.py": PROGRAM, "mode": mode})

    def deploy(self, mode: str = "") -> None:
        """Deploy; each mode is another release."""
        self.program(mode)
        self.bench.run("deploy")

    def pids(self, node: str) -> set[int]:
        """The processes that run on a node."""
        return {row["pid"] for row in self.sites[node].processes()}

    def break_restarts(self, node: str) -> None:
        """Let what starts anew on this node crash (mode crash-on-demand)."""
        (self.sites[node].root / "shared" / "crash").touch()


@contextmanager
def kept(root: Path, nodes: int = 2) -> Iterator[Kept]:
    """So many nodes, nothing deployed."""
    names = [f"local/{letter}" for letter in "abcdefgh"[:nodes]]
    bench = Workbench(root, nodes=names)
    made = Kept(bench, {name: Site(root / "nodes" / name.removeprefix("local/"), free_port()) for name in names})
    made.configure()
    made.program()
    try:
        yield made
    finally:
        for site in made.sites.values():
            site.close()
