"""The anchor changes: what the former one recorded is taken along."""

from __future__ import annotations

from pathlib import Path

from tests.workbench import Workbench


def test_a_new_anchor_takes_over_what_the_former_one_recorded(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, nodes=("local/a", "local/b"))
    bench.configure()
    for text in ("one", "two"):
        bench.write({"version.txt": text})
        bench.run("deploy")
    bench.configure('anchor = "local/b"')
    assert "nothing to do" in bench.run("deploy").out
    bench.run("rollback")
    assert bench.content("local/b", "version.txt") == "one"
    names = {file.name for file in (bench.place("local/b") / "fleet").iterdir()}
    assert names == {"1.json", "2.json", "3.json"}
    bench.nodes = ("local/b",)
    bench.configure()
    assert bench.run("status", "--json").events[0]["stable"]["seq"] == 3


def test_an_anchor_that_comes_back_does_not_take_the_fleet_back_in_time(tmp_path: Path) -> None:
    bench = Workbench(tmp_path, nodes=("local/a", "local/b"))
    bench.configure()
    bench.write({"version.txt": "one"})
    bench.run("deploy")
    bench.nodes = ("local/b",)
    bench.configure()
    bench.write({"version.txt": "two"})
    bench.run("deploy")
    bench.nodes = ("local/a", "local/b")
    bench.configure()
    bench.run("deploy")
    assert {bench.content(node, "version.txt") for node in bench.nodes} == {"two"}
    assert bench.current("local/b") == 2
