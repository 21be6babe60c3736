"""Building on a host, played by this machine through the same port: the result is that of building here."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from mikoshi.adapters.transports.local import LocalTransport
from mikoshi.config.model import BuildStep, ReleaseConfig
from mikoshi.core.address import Address
from mikoshi.core.errors import (
    BuildOutputMissing,
    BuildStepFailed,
    Interrupted,
    LinkLeavesTree,
    NameNotUtf8,
    NotPackable,
)
from mikoshi.packing.objects import Objects
from mikoshi.packing.pack import Occasion, Packed, Source, pack
from mikoshi.packing.platform import local_platform
from mikoshi.packing.progress import BuildLine, BuildSkipped, BuildStarted, Progress
from mikoshi.packing.remotebuilder import RemoteBuilder
from mikoshi.packing.tarstream import kept_from_tar
from tests.packing.sources import Packing, assert_ended, paths, write_tree
from tests.packing.test_build import content

HOST = Address("builder")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the host's temporary directories go."""
    directory = tmp_path / "host tmp"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


def pack_there(
    packing: Packing,
    *steps: BuildStep,
    stop: threading.Event | None = None,
    heard: Callable[[Progress], None] | None = None,
) -> Packed:
    """Pack with the steps run over a remote shell, the way an engine does: in a thread beside the loop."""
    stopped = stop or threading.Event()

    async def packed() -> Packed:
        shell = LocalTransport(packing.root / "engine")
        objects = packing.library.objects
        loop = asyncio.get_running_loop()
        builder = RemoteBuilder(objects, shell, HOST, loop, packing.root / "scratch", stopped)
        occasion = Occasion("shop", "production", "mika", 1.0)
        try:
            return await asyncio.to_thread(
                pack, Source(packing.source), ReleaseConfig(build=steps), (), occasion, packing.library,
                packing.root / "cache", heard or packing.heard.append, builder, stopped,
            )  # fmt: skip
        finally:
            await shell.close()

    return asyncio.run(packed())


def test_what_is_built_on_a_host_is_what_is_built_here(packing: Packing, temporary: Path) -> None:
    long_name = "deep/" * 30 + "file with a long name and a new\nline " + "x" * 120
    write_tree(
        packing.source, {"a": "1", "caf\u00e9/\u540d": "2", "e/": "", "big": os.urandom(3_000_000), long_name: "l"}
    )
    (packing.source / "run").write_text("#!/bin/sh\necho $MIKOSHI_APP $MIKOSHI_ENV\n")
    (packing.source / "run").chmod(0o755)
    (packing.source / "link").symlink_to("a")
    step = BuildStep(
        "mkdir -p out/empty; cp -r a caf* deep link big out/; ./run > out/ran;"
        " ln out/ran out/twice; ln -s ran out/soft; test -d e; [ -L link ]; echo it\\'s done",
        outputs=("out/", "out/ran", "a"),
    )
    here, there = packing.pack(step), pack_there(packing, step)
    assert there.manifest == here.manifest
    assert content(there, "out/twice") == b"shop production\n"
    assert BuildStarted(step.run, "builder") in packing.heard
    assert packing.heard.count(BuildLine("it's done")) == 2
    assert list(temporary.iterdir()) == []


def test_unchanged_inputs_are_built_once_wherever_that_was(packing: Packing, temporary: Path) -> None:
    write_tree(packing.source, {"a": "1"})
    step = BuildStep("echo made > made", inputs=("a",), outputs=("made",))
    last = BuildStep("cat made > copy", outputs=("copy",))
    assert paths(pack_there(packing, step, last)) == ["a", "copy", "made"]
    assert content(packing.pack(step, last), "copy") == b"made\n"
    assert BuildSkipped(step.run) in packing.heard


def test_a_failing_step_on_a_host_leaves_nothing_there(packing: Packing, temporary: Path) -> None:
    write_tree(packing.source, {"a": "1"})
    with pytest.raises(BuildStepFailed) as caught:
        pack_there(packing, BuildStep("mkdir -m 555 locked; echo why; exit 7"))
    assert (caught.value.status, caught.value.lines) == (7, ["why"])
    with pytest.raises(BuildOutputMissing) as missing:
        pack_there(packing, BuildStep("touch a", outputs=("a", "not there")))
    assert missing.value.output == "not there"
    assert list(temporary.iterdir()) == []


def test_stopping_ends_the_step_on_the_host_and_all_that_it_started(packing: Packing, temporary: Path) -> None:
    write_tree(packing.source, {"a": "1"})
    stop, pids = threading.Event(), packing.root / "pids"

    def heard(progress: Progress) -> None:
        if progress == BuildLine("ready"):
            stop.set()

    step = BuildStep(f"sleep 1000 & echo $! > {pids}; echo $$ >> {pids}; echo ready; wait")
    with pytest.raises(Interrupted):
        pack_there(packing, step, stop=stop, heard=heard)
    assert_ended(pids)
    assert list(temporary.iterdir()) == []


def test_a_host_names_its_platform_as_nodes_do(packing: Packing, temporary: Path) -> None:
    async def platform() -> str:
        shell = LocalTransport(packing.root / "engine")
        loop = asyncio.get_running_loop()
        builder = RemoteBuilder(packing.library.objects, shell, HOST, loop, packing.root, threading.Event())
        return await asyncio.to_thread(lambda: builder.platform)

    assert asyncio.run(platform()) == local_platform()


def archive(*members: tuple[str, bytes, str]) -> io.BytesIO:
    """A tar archive with members (name, type, link target)."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", errors="surrogateescape") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("member", "error"),
    [
        (("other", tarfile.REGTYPE, ""), NotPackable),
        (("outside", tarfile.REGTYPE, ""), NotPackable),
        (("out/../../x", tarfile.REGTYPE, ""), NotPackable),
        (("/out/x", tarfile.REGTYPE, ""), NotPackable),
        (("out/x", tarfile.FIFOTYPE, ""), NotPackable),
        (("out/x", tarfile.LNKTYPE, "out/missing"), NotPackable),
        (("out/x", tarfile.LNKTYPE, "/etc/passwd"), NotPackable),
        (("out/x", tarfile.SYMTYPE, "/etc/passwd"), LinkLeavesTree),
        (("out/\udce9", tarfile.REGTYPE, ""), NameNotUtf8),
    ],
)
def test_nothing_that_a_host_sends_is_believed(
    tmp_path: Path, member: tuple[str, bytes, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        kept_from_tar(Objects(tmp_path), archive(member), ["out"])


def test_an_archive_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotPackable, match="archive"):
        kept_from_tar(Objects(tmp_path), io.BytesIO(b"no archive at all" * 100), ["out"])
