"""An application that runners keep on two nodes, deployed by the command line: under load, and crashing late."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.node.runner.ground import PROGRAM, PYTHON, Site, failures, load
from tests.workbench import Workbench

NODES = ("local/a", "local/b")


class Shop:
    """The application on two nodes of this machine."""

    def __init__(self, root: Path) -> None:
        self.bench = Workbench(root, NODES)
        self.sites = {node: Site(root / "nodes" / node.removeprefix("local/")) for node in NODES}
        self.bench.write({"serve.py": PROGRAM, "mode": ""})
        self.configure()

    def configure(self, more: str = "") -> None:
        """Write mikoshi.toml."""
        hosts = ", ".join(
            f'{{ ssh = "{node}", process = {{ web = {{ listen = {site.port} }} }} }}'
            for node, site in self.sites.items()
        )
        web = f'[env.production.process.web]\ncommand = "{PYTHON}"\ninstances = 2\nhealth = {{ path = "/up" }}\n'
        self.bench.configure(f'rollout = {{ first = 1, step = 1, bake = "1500ms" }}\n{more}\n{web}', hosts)

    def serving(self) -> set[int]:
        """Which deployments answer."""
        return {site.serving() for site in self.sites.values()}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    made = Shop(tmp_path)
    with ExitStack() as undo:
        for site in made.sites.values():
            undo.callback(site.close)
        yield made


def test_a_fleet_changes_and_goes_back_without_a_failed_request(shop: Shop) -> None:
    shop.bench.run("deploy")
    with load(shop.sites[NODES[0]], 2) as first, load(shop.sites[NODES[1]], 2) as second:
        shop.configure('vars = { CHANGED = "1" }')
        shop.bench.run("deploy")
        assert shop.serving() == {2}
        shop.bench.run("rollback")
        assert shop.serving() == {3}
    assert (failures(first), failures(second)) == ({}, {})
    assert {"1", "2", "3"} <= set(first)
    assert {"1", "2", "3"} <= set(second)


def test_what_crashes_while_it_is_watched_brings_the_fleet_back(shop: Shop) -> None:
    shop.bench.run("deploy")
    shop.bench.write({"mode": "crash-late"})
    with load(shop.sites[NODES[1]], 2) as untouched:
        ran = shop.bench.run("deploy", code=6)
    assert "web ended with status 5" in ran.err
    assert shop.serving() == {1}
    assert failures(untouched) == {}
    assert set(untouched) == {"1"}
