"""Building where the nodes are: one host builds, every node gets the same outputs."""

from __future__ import annotations

import pytest

from tests.system.bench import SshBench

BUILD = """
[release]
build_on = "{where}"
[[release.build]]
run = "mkdir -p out && hostname > out/built-on && cat input.txt >> built.log && {command}"
inputs = ["input.txt"]
outputs = ["out/"]
"""


def configured(bench: SshBench, where: str = "hosts", command: str = "echo building") -> None:
    bench.configure(BUILD.format(where=where, command=command))


def hostname(bench: SshBench, node: str) -> str:
    return bench.host(node).run(["hostname"]).stdout.decode().strip()


def test_one_host_builds_and_every_node_gets_its_outputs(bench: SshBench) -> None:
    configured(bench)
    bench.write({"input.txt": "one"})
    ran = bench.run("deploy", "--json")
    assert ran.event("build_began")["where"] == f"on {bench.nodes[0]}"
    assert ran.event("build_output")["line"] == "building"
    assert {bench.content(node, "out/built-on").strip() for node in bench.nodes} == {hostname(bench, bench.nodes[0])}
    left = bench.host(bench.nodes[0]).run(["sh", "-c", "ls /tmp /var/tmp"]).stdout.decode()
    assert "mikoshi-build" not in left


def test_unchanged_inputs_are_not_built_again(bench: SshBench) -> None:
    configured(bench)
    bench.write({"input.txt": "one", "page.html": "one"})
    bench.run("deploy")
    bench.write({"page.html": "two"})
    ran = bench.run("deploy", "--json")
    assert ran.event("build_began")["reused"] is True
    bench.write({"input.txt": "two"})
    assert bench.run("deploy", "--json").event("build_began")["reused"] is False


def test_where_platforms_match_auto_builds_here(bench: SshBench) -> None:
    configured(bench, where="auto")
    bench.write({"input.txt": "one"})
    assert bench.run("deploy", "--json").event("build_began")["where"] == "here"


@pytest.mark.parametrize("where", ["hosts", "local"])
def test_a_failing_build_shows_its_lines_and_touches_no_node(bench: SshBench, where: str) -> None:
    configured(bench, where, command="echo cannot find gcc && exit 3")
    bench.write({"input.txt": "one"})
    ran = bench.run("deploy", code=5)
    assert "ended with status 3" in ran.err
    assert "cannot find gcc" in ran.err
    assert not any(bench.place(node).exists() for node in bench.nodes)
