"""Build steps: a clean copy of the sources goes in, the declared outputs come out, unchanged inputs do not run."""

from __future__ import annotations

import os
import threading

import pytest

from mikoshi.config.model import BuildStep, ReleaseConfig
from mikoshi.core.address import Address
from mikoshi.core.errors import BuildInputMissing, BuildOutputMissing, BuildStepFailed, Interrupted
from mikoshi.core.transfer import places
from mikoshi.packing.buildsite import BuildSite, build_site
from mikoshi.packing.pack import Occasion, Packed, Source, pack
from mikoshi.packing.progress import BuildLine, BuildSkipped, BuildStarted
from tests.packing.sources import Packing, assert_ended, paths, write_tree


def content(packed: Packed, path: str) -> bytes:
    entry = next(entry for entry in packed.manifest.files() if entry.path == path)
    found = (place for place in places(packed.manifest, packed.index) if place.file == entry.digest)
    return b"".join(packed.reader.read(place) for place in found)


def started(packing: Packing) -> list[str]:
    return [progress.command for progress in packing.heard if isinstance(progress, BuildStarted)]


def test_a_step_sees_exactly_the_release_s_sources_and_only_its_outputs_are_packed(packing: Packing) -> None:
    write_tree(packing.source, {".gitignore": "out/\nlocal\n", "a": "1", "sub/b": "2", "local": "", "out/stale": ""})
    (packing.source / "run").write_text("#!/bin/sh\n")
    (packing.source / "run").chmod(0o755)
    step = BuildStep(
        'seen=$(find . | sort); mkdir out; echo "$seen" > out/seen; ls -l run | cut -c1-10 > out/mode; touch junk;'
        " echo changed > a",
        outputs=("out/",),
    )
    packed = packing.pack(step)
    assert paths(packed) == [".gitignore", "a", "out/mode", "out/seen", "run", "sub/b"]
    assert content(packed, "out/seen") == b".\n./.gitignore\n./a\n./run\n./sub\n./sub/b\n"
    assert content(packed, "out/mode") == b"-rwxr-xr-x\n"
    assert content(packed, "a") == b"1"
    assert (packing.source / "a").read_text() == "1"
    assert sorted(os.listdir(packing.source)) == [".gitignore", "a", "local", "out", "run", "sub"]


def test_a_step_with_unchanged_inputs_does_not_run_again(packing: Packing) -> None:
    write_tree(packing.source, {"in/a": "1", "in/deep/b": "1", "other": "1"})
    counter = packing.root / "runs"
    step = BuildStep(f"echo run >> {counter}; cat in/a > made; date +%N >> made", inputs=("in/",), outputs=("made",))
    first = packing.pack(step)
    write_tree(packing.source, {"other": "2"})
    second = packing.pack(step)
    assert counter.read_text() == "run\n"
    assert content(first, "made") == content(second, "made")
    assert BuildSkipped(step.run) in packing.heard
    for path, value in (("in/a", "2"), ("in/deep/b", "2"), ("in/new", "")):
        write_tree(packing.source, {path: value})
        before = counter.read_text()
        packing.pack(step)
        assert counter.read_text() == before + "run\n"
    (packing.source / "in/a").chmod(0o755)
    packing.pack(step)
    assert counter.read_text() == "run\n" * 5


def test_a_step_that_could_come_out_differently_runs_again(packing: Packing) -> None:
    write_tree(packing.source, {"a": ""})
    step = BuildStep("echo $MIKOSHI_APP $MIKOSHI_ENV > made", inputs=("a",), outputs=("made",))
    assert content(packing.pack(step), "made") == b"shop production\n"
    assert content(packing.pack(step, environment="staging"), "made") == b"shop staging\n"
    changed = BuildStep("echo other > made", inputs=("a",), outputs=("made",))
    assert content(packing.pack(changed), "made") == b"other\n"


def test_a_step_without_inputs_always_runs(packing: Packing) -> None:
    write_tree(packing.source, {"a": ""})
    step = BuildStep("echo x > made", outputs=("made",))
    assert packing.pack(step).release == packing.pack(step).release
    assert len(started(packing)) == 2


def test_later_steps_build_on_earlier_outputs_also_on_kept_ones(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1", "b": "1"})
    first = BuildStep("mkdir -p dist/sub; cp a dist/sub/a", inputs=("a",), outputs=("dist/",))
    second = BuildStep("cat dist/sub/a b > dist/both", inputs=("dist/sub/*", "b"), outputs=("dist/both", "dist"))
    assert content(packing.pack(first, second), "dist/both") == b"11"
    write_tree(packing.source, {"b": "2"})
    packing.heard.clear()
    packed = packing.pack(first, second)
    assert content(packed, "dist/both") == b"12"
    assert content(packed, "dist/sub/a") == b"1"
    assert started(packing) == [second.run]
    write_tree(packing.source, {"a": "3"})
    packing.heard.clear()
    assert content(packing.pack(first, second), "dist/both") == b"32"
    assert started(packing) == [first.run, second.run]


def test_a_kept_output_replaces_what_an_earlier_step_left_in_its_place(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1"})
    noisy = BuildStep("mkdir -p out; date +%N > out/noise; echo n > noise", outputs=("noise",))
    kept = BuildStep("mkdir -p out; rm -f out/*; cp a out/a", inputs=("a",), outputs=("out/",))
    last = BuildStep("ls out > listed", outputs=("listed",))
    packing.pack(noisy, kept, last)
    packed = packing.pack(noisy, kept, last)
    assert BuildSkipped(kept.run) in packing.heard
    assert content(packed, "listed") == b"a\n"


def test_a_kept_output_whose_content_is_gone_is_built_again(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1"})
    step = BuildStep("echo made > made", inputs=("a",), outputs=("made",))
    packed = packing.pack(step)
    packing.library.objects.remove([entry.digest for entry in packed.manifest.files() if entry.path == "made"])
    assert content(packing.pack(step), "made") == b"made\n"
    for file in (packing.root / "cache/outputs").iterdir():
        file.write_bytes(b"{")
    assert content(packing.pack(step), "made") == b"made\n"
    assert len(started(packing)) == 3


def test_links_modes_and_empty_directories_of_outputs_are_packed(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1", "out/": ""})
    step = BuildStep(
        "mkdir -p out/empty; cp a out/tool; chmod 750 out/tool; ln -s tool out/link",
        inputs=("a",),
        outputs=("out",),
    )
    for _ in range(2):
        entries = {entry.path: entry for entry in packing.pack(step).manifest.entries}
        assert sorted(entries) == ["a", "out/empty", "out/link", "out/tool"]
        assert entries["out/tool"].mode == 0o755
        assert entries["out/link"].target == "tool"


def test_a_failing_step_says_its_command_status_and_last_lines(packing: Packing) -> None:
    write_tree(packing.source, {"a": ""})
    step = BuildStep("for i in $(seq 30); do echo line $i; done; echo oops >&2; false; echo not reached")
    with pytest.raises(BuildStepFailed) as caught:
        packing.pack(step)
    assert (caught.value.command, caught.value.status) == (step.run, 1)
    assert caught.value.lines == [f"line {number}" for number in range(12, 31)] + ["oops"]
    assert BuildLine("line 1") in packing.heard
    with pytest.raises(BuildStepFailed) as caught:
        packing.pack(BuildStep("kill -9 $$"))
    assert caught.value.status == -9
    assert packing.library.releases("shop") == []


def test_a_missing_output_is_named(packing: Packing) -> None:
    write_tree(packing.source, {"a": ""})
    with pytest.raises(BuildOutputMissing) as caught:
        packing.pack(BuildStep("true", outputs=("dist/",)))
    assert caught.value.output == "dist"


def test_an_input_that_names_nothing_is_refused(packing: Packing) -> None:
    write_tree(packing.source, {"sub/requirements.txt": ""})
    with pytest.raises(BuildInputMissing) as caught:
        packing.pack(BuildStep("true", inputs=("requirements.txt",)))
    assert caught.value.input == "requirements.txt"


def test_a_background_process_neither_holds_the_build_up_nor_outlives_it(packing: Packing) -> None:
    write_tree(packing.source, {"a": ""})
    packing.pack(BuildStep("sleep 1000 & echo $! > pid", outputs=("pid",)))
    packed = packing.pack(BuildStep("sleep 1000 & echo $! > pid", outputs=("pid",)))
    (packing.root / "pid").write_bytes(content(packed, "pid"))
    assert_ended(packing.root / "pid")


def test_stopping_ends_the_step_and_all_that_it_started(packing: Packing) -> None:
    write_tree(packing.source, {"a": ""})
    pids, stop = packing.root / "pids", threading.Event()

    def heard(progress: object) -> None:
        if progress == BuildLine("ready"):
            stop.set()

    step = BuildStep(f"sh -c 'sleep 1000' & echo $! > {pids}; echo $$ >> {pids}; echo ready; wait")
    with pytest.raises(Interrupted):
        pack(
            Source(packing.source),
            ReleaseConfig(build=(step,)),
            (),
            Occasion("shop", "production", "mika", 1.0),
            packing.library,
            packing.root / "cache",
            heard,
            stop=stop,
        )
    assert_ended(pids)
    assert list((packing.root / "cache/build").rglob("a")) == []


# ── where to build ─────────────────────────────────────────────────────────────────────────────────────────────

HERE = "linux-x86_64"
ONE, TWO, THREE = (Address(name, host=name) for name in ("one", "two", "three"))


@pytest.mark.parametrize(
    ("build_on", "steps", "nodes", "expected"),
    [
        ("auto", True, {ONE: HERE, TWO: HERE}, BuildSite(None, HERE)),
        ("auto", True, {ONE: "linux-aarch64"}, BuildSite(ONE, "linux-aarch64")),
        ("auto", False, {ONE: "linux-aarch64"}, BuildSite(None, HERE)),
        ("auto", True, {ONE: HERE, TWO: "x-y", THREE: "x-y"}, BuildSite(TWO, "x-y")),
        ("auto", True, {}, BuildSite(None, HERE)),
        ("local", True, {ONE: "linux-aarch64"}, BuildSite(None, HERE)),
        ("hosts", True, {ONE: HERE, TWO: HERE}, BuildSite(ONE, HERE)),
        ("hosts", True, {Address("here"): HERE}, BuildSite(None, HERE)),
        ("ssh://b", True, {ONE: HERE}, BuildSite(Address("ssh://b", "b"))),
        ("ssh://me@b:22", True, {}, BuildSite(Address("ssh://me@b:22", "b", 22, "me"))),
        ("ssh://me@[::1]:22", True, {}, BuildSite(Address("ssh://me@[::1]:22", "::1", 22, "me"))),
    ],
)
def test_a_build_runs_where_its_result_fits(
    build_on: str, steps: bool, nodes: dict[Address, str], expected: BuildSite
) -> None:
    assert build_site(build_on, steps, HERE, nodes) == expected
