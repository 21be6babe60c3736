"""Staging: only what is missing travels, nothing unverified is recorded, nothing is begun where it does not fit."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from mikoshi.core import messages
from mikoshi.core.deployment import Settings
from mikoshi.core.errors import (
    ContentCorrupt,
    ContentMissing,
    ForeignPlatform,
    PathUnusable,
    ProtocolMismatch,
    SecretsMissing,
    SharedConflict,
    SharedMissing,
)  # fmt: skip
from mikoshi.core.frames import pack_chunks
from mikoshi.node import envfile, machine, space
from tests.node.client import Built, Engine, Refusal, build, sha
from tests.node.conftest import Start

SMALL = {"app.py": b"print(1)\n", "bin/run": b"#!/bin/sh\n", "lib/ü \n.txt": b"", "lib/same": b"print(1)\n"}
LARGE = os.urandom(1 << 20)


def small() -> Built:
    return build(SMALL, executable=["bin/run"], links={"latest": "lib/same"}, directories=["empty/deep"])


def tree(site: Path, seq: int) -> Path:
    return site / "deployments" / str(seq) / "tree"


def refused(engine: Engine, *arguments: Any) -> Any:
    with pytest.raises(Refusal) as caught:
        engine.stage_fully(*arguments)
    return caught.value.error


def test_a_tree_is_exactly_the_release_and_read_only(engine: Engine, site: Path) -> None:
    engine.stage_fully(1, small())
    root = tree(site, 1)
    found = {str(path.relative_to(root)) for path in root.rglob("*")}
    assert found == {*SMALL, "bin", "lib", "latest", "empty", "empty/deep"}
    assert all((root / path).read_bytes() == data for path, data in SMALL.items())
    assert stat.S_IMODE((root / "bin/run").stat().st_mode) == 0o555
    assert stat.S_IMODE((root / "app.py").stat().st_mode) == 0o444
    assert stat.S_IMODE((root / "empty/deep").stat().st_mode) == 0o555
    assert os.readlink(root / "latest") == "lib/same"
    assert not (root.parent / "partial").exists()
    assert not (site / "current").exists()


def test_a_staged_deployment_is_staged_again_by_saying_so(engine: Engine) -> None:
    engine.stage_fully(1, small())
    reply, numbers = engine.stage(1, small())
    assert (reply, numbers) == ({"missing_bytes": 0, "staged": True}, [])
    assert engine.call(messages.Activate(1, 0))["changed"]


def test_unchanged_files_are_links_and_do_not_travel(engine: Engine, site: Path) -> None:
    engine.deploy(1, small())
    second = build({**SMALL, "app.py": b"print(2)\n"}, executable=["bin/run"])
    reply, numbers = engine.stage(2, second)
    assert reply["missing_bytes"] == len(b"print(2)\n")
    engine.send(second, numbers)
    assert engine.call(messages.StageEnd(2)) == {"reused": second.manifest.size() - 9, "received": 9, "edited": {}}
    assert (tree(site, 1) / "lib/same").stat().st_ino == (tree(site, 2) / "lib/same").stat().st_ino
    assert (tree(site, 2) / "app.py").read_bytes() == b"print(2)\n"


def test_another_mode_is_a_copy_and_leaves_the_source_alone(engine: Engine, site: Path) -> None:
    engine.stage_fully(1, build({"a": b"x"}))
    reply, _ = engine.stage(2, build({"b": b"x"}, executable=["b"]))
    assert reply["missing_bytes"] == 0
    engine.call(messages.StageEnd(2))
    assert stat.S_IMODE((tree(site, 1) / "a").stat().st_mode) == 0o444
    assert stat.S_IMODE((tree(site, 2) / "b").stat().st_mode) == 0o555


def test_one_content_under_many_names_and_modes_travels_once(engine: Engine, site: Path) -> None:
    built = build({"a": b"same", "b": b"same", "c": b"same", "d": b"same"}, executable=["c", "d"])
    reply, numbers = engine.stage(1, built)
    assert (reply["missing_bytes"], len(numbers)) == (4, 1)
    engine.send(built, numbers)
    engine.call(messages.StageEnd(1))
    modes = {name: stat.S_IMODE((tree(site, 1) / name).stat().st_mode) for name in "abcd"}
    assert modes == {"a": 0o444, "b": 0o444, "c": 0o555, "d": 0o555}


def test_only_the_changed_pieces_of_a_large_file_travel(engine: Engine, site: Path) -> None:
    piece = 64 << 10
    engine.stage_fully(1, build({"big": LARGE}, piece=piece))
    changed = LARGE[: 5 * piece] + os.urandom(piece) + LARGE[6 * piece :]
    second = build({"big": changed, "copy": changed}, piece=piece)
    reply, numbers = engine.stage(2, second)
    assert (reply["missing_bytes"], len(numbers)) == (piece, 1)
    engine.send(second, numbers)
    engine.call(messages.StageEnd(2))
    assert (tree(site, 2) / "big").read_bytes() == changed
    assert (tree(site, 1) / "big").read_bytes() == LARGE


def test_a_piece_that_stands_at_many_places_travels_once(engine: Engine, site: Path) -> None:
    data = b"ab" * (32 << 10)
    built = build({"big": data * 5}, piece=len(data))
    reply, numbers = engine.stage(1, built)
    assert (reply["missing_bytes"], numbers) == (len(data), [0])
    engine.send(built, numbers)
    engine.call(messages.StageEnd(1))
    assert (tree(site, 1) / "big").read_bytes() == data * 5


@pytest.mark.parametrize("how", ["close", "kill"])
def test_what_arrived_before_an_interruption_is_not_sent_again(
    start: Start, tmp_path: Path, site: Path, how: str
) -> None:
    piece = 64 << 10
    built = build({"big": LARGE, **{f"f{n}": os.urandom(100) for n in range(20)}}, piece=piece)
    first = start()
    first.begin(tmp_path)
    _, numbers = first.stage(1, built)
    assert len(numbers) == 36
    first.send(built, numbers[:30])
    if how == "kill":
        first.call(messages.History())  # answered in order: the chunks before it were written
        first.process.kill()
    first.close()
    second = start()
    view = second.begin(tmp_path)
    assert view.interrupted == "stage"
    assert [kept.staged for kept in view.kept] == [False]
    reply, again = second.stage(1, built)
    assert again == numbers[30:]
    second.send(built, again)
    second.call(messages.StageEnd(1))
    assert (tree(site, 1) / "big").read_bytes() == LARGE
    assert reply["missing_bytes"] < built.manifest.size() // 2


def test_damage_in_what_was_left_is_noticed(start: Start, tmp_path: Path, site: Path) -> None:
    piece = 64 << 10
    built = build({"big": LARGE, "small": b"abc"}, piece=piece)
    first = start()
    first.begin(tmp_path)
    _, numbers = first.stage(1, built)
    first.send(built, numbers[:-1])
    first.close()
    partial = site / "deployments/1/partial" / sha(LARGE)
    with partial.open("r+b") as file:
        file.seek(3 * piece)
        file.write(b"damage")
    second = start()
    second.begin(tmp_path)
    reply, again = second.stage(1, built)
    assert len(again) == 2
    assert reply["missing_bytes"] == piece + 3


def test_a_corrupt_chunk_is_refused_and_nothing_of_it_stays(engine: Engine, site: Path) -> None:
    built = build({"a": b"right", "b": b"other"})
    _, numbers = engine.stage(1, built)
    engine.write([pack_chunks([(numbers[0], b"wrong")]), pack_chunks([(numbers[1], b"other")])])
    with pytest.raises(Refusal) as caught:
        engine.call(messages.StageEnd(1))
    error = caught.value.error
    assert isinstance(error, ContentCorrupt)
    assert (error.path, error.expected, error.got) == ("a", sha(b"right"), sha(b"wrong"))
    assert all(b"wrong" not in path.read_bytes() for path in site.rglob("*") if path.is_file())
    engine.stage_fully(1, built)
    assert (tree(site, 1) / "a").read_bytes() == b"right"


def test_a_deployment_that_lacks_content_is_not_recorded(engine: Engine) -> None:
    engine.stage(1, small())
    with pytest.raises(Refusal) as caught:
        engine.call(messages.StageEnd(1))
    assert isinstance(caught.value.error, ContentMissing)
    with pytest.raises(Refusal):
        engine.call(messages.Activate(1, 0))


def test_a_manifest_that_is_not_the_announced_release_is_refused(engine: Engine) -> None:
    other = build({"evil": b"x"})
    error = refused(engine, 1, _Announced(other.manifest, other.index, other.contents))
    assert isinstance(error, ContentCorrupt)


class _Announced(Built):
    @property
    def id(self) -> str:
        return "0" * 64


def test_a_foreign_platform_is_refused(engine: Engine, site: Path) -> None:
    error = refused(engine, 1, build({"a": b"x"}, platform="plan9-mips"))
    assert isinstance(error, ForeignPlatform)
    assert error.node_platform.startswith(("linux-", "darwin-"))
    assert not (site / "deployments/1").exists()


def test_a_delta_against_a_held_release_gives_the_same_tree(engine: Engine, site: Path) -> None:
    from mikoshi.core import release as releases
    from mikoshi.core import transfer
    from mikoshi.core.deployment import Deployment

    first, second = small(), build({"app.py": b"print(2)\n"})
    engine.stage_fully(1, first)
    dropped, changed = releases.difference(first.manifest, second.manifest)
    delta = {"platform": "any", "dropped": dropped, "changed": [vars(entry) for entry in changed]}
    request = messages.Stage(Deployment(2, second.id, "s", "t", 1.0).to_json(), Settings().to_json(), base=first.id)
    blobs = [json.dumps(delta).encode(), transfer.encode(second.index), b"{}"]
    number = engine.ask(request, blobs)
    _, (bits,) = engine.answer(number)
    engine.send(second, transfer.numbers(bits))
    engine.call(messages.StageEnd(2))
    assert [path.name for path in tree(site, 2).iterdir()] == ["app.py"]
    with pytest.raises(Refusal) as caught:
        engine.answer(engine.ask(messages.Stage(request.deployment, request.settings, base="f" * 64), blobs))
    assert isinstance(caught.value.error, ContentMissing)


# ── shared paths ───────────────────────────────────────────────────────────────────────────────────────────────


def test_shared_paths_outlive_deployments(engine: Engine, site: Path) -> None:
    settings = Settings(shared=("media/", "var/log/"))
    engine.deploy(1, small(), settings=settings)
    (site / "current/media/photo").write_bytes(b"kept")
    (site / "current/var/log/x").write_bytes(b"kept")
    engine.deploy(2, build({"app.py": b"2"}), 1, settings)
    assert (site / "current/media/photo").read_bytes() == b"kept"
    assert os.readlink(tree(site, 2) / "var/log") == "../../../../shared/var/log"
    assert (site / "shared/media/photo").exists()


def test_a_shared_file_has_to_be_put_there_once(engine: Engine, site: Path) -> None:
    settings = Settings(shared=("config/local.ini",))
    error = refused(engine, 1, small(), settings)
    assert isinstance(error, SharedMissing)
    assert error.path == str(site / "shared/config/local.ini")
    (site / "shared/config").mkdir()
    (site / "shared/config/local.ini").write_text("x")
    engine.stage_fully(1, small(), settings)
    assert (tree(site, 1) / "config/local.ini").read_text() == "x"


@pytest.mark.parametrize("path", ["lib/", "lib/same", "bin/run/below/", "lib"])
def test_a_release_that_packs_a_shared_path_is_refused(engine: Engine, path: str) -> None:
    assert isinstance(refused(engine, 1, small(), Settings(shared=(path,))), SharedConflict)


@pytest.mark.parametrize("path", ["../x", "/etc/", "a/../../b", "", "/"])
def test_shared_paths_cannot_lead_elsewhere(engine: Engine, path: str) -> None:
    assert isinstance(refused(engine, 1, small(), Settings(shared=(path,))), ProtocolMismatch)


# ── the environment ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_environment_has_the_values_and_mikoshis_own(engine: Engine, site: Path) -> None:
    settings = Settings(processes={"web": {"listen": "0.0.0.0:8123"}})
    engine.stage_fully(1, small(), settings, {"SECRET": 'a"b\n', "MIKOSHI_SEQ": "99"})
    path = site / "deployments/1/env"
    found = envfile.decode(path.read_bytes())
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert found["SECRET"] == 'a"b\n'
    assert found["PORT"] == "8123"
    assert found["MIKOSHI_SEQ"] == "1"
    assert found["MIKOSHI_TREE"] == str(tree(site, 1))
    assert found["MIKOSHI_RELEASE"] == small().id
    assert not found["PYTHONPYCACHEPREFIX"].startswith(str(tree(site, 1)))


def test_a_secret_stands_in_no_file_but_env(engine: Engine, site: Path) -> None:
    engine.deploy(1, small(), values={"SECRET": "canary-7f3a"})
    engine.deploy(2, small(), 1, values={"$keep": ["SECRET"]})
    holding = {path.name for path in site.rglob("*") if path.is_file() and b"canary-7f3a" in path.read_bytes()}
    assert holding == {"env"}
    assert envfile.decode((site / "deployments/2/env").read_bytes())["SECRET"] == "canary-7f3a"


def test_a_secret_to_keep_must_be_there(engine: Engine) -> None:
    error = refused(engine, 1, small(), None, {"$keep": ["SECRET"]})
    assert isinstance(error, SecretsMissing)
    assert error.names == ["SECRET"]


@pytest.mark.parametrize("values", [{"A B": "x"}, {"A": 1}, {"A": "x\0y"}])
def test_an_environment_that_no_process_could_have_is_refused(engine: Engine, values: dict[str, Any]) -> None:
    assert isinstance(refused(engine, 1, small(), None, values), ProtocolMismatch)


# ── edited trees ───────────────────────────────────────────────────────────────────────────────────────────────


def overwrite(path: Path, data: bytes) -> None:
    """Edit a file in place, as an editor run by root or by a stubborn user does."""
    mode = stat.S_IMODE(path.stat().st_mode)
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(mode)


def test_an_edited_source_is_not_linked_and_repaired_in_every_tree(engine: Engine, site: Path) -> None:
    engine.deploy(1, small())
    engine.deploy(2, build({**SMALL, "new": b"n"}, executable=["bin/run"]), 1)
    overwrite(tree(site, 1) / "bin/run", b"#!/bin/no\n")
    assert (tree(site, 2) / "bin/run").read_bytes() == b"#!/bin/no\n"  # one inode
    third = build({**SMALL, "newer": b"n"}, executable=["bin/run"])
    reply, numbers = engine.stage(3, third)
    assert reply["missing_bytes"] == len(SMALL["bin/run"])
    engine.send(third, numbers)
    engine.call(messages.StageEnd(3))
    for seq in (1, 2, 3):
        assert (tree(site, seq) / "bin/run").read_bytes() == SMALL["bin/run"]
    assert not engine.call(messages.Revert(2))["changed"]


def test_a_recorded_tree_that_was_edited_is_staged_anew(engine: Engine, site: Path) -> None:
    engine.stage_fully(1, small())
    root = tree(site, 1)
    overwrite(root / "app.py", b"print(9)\n")
    (root / "lib").chmod(0o755)
    (root / "lib/extra").write_bytes(b"x")
    (root / "lib/dir").mkdir()
    (root / "latest").unlink()
    reply, numbers = engine.stage(1, small())
    assert not reply["staged"]
    engine.send(small(), numbers)
    engine.call(messages.StageEnd(1))
    assert (root / "app.py").read_bytes() == SMALL["app.py"]
    assert not (root / "lib/extra").exists()
    assert not (root / "lib/dir").exists()
    assert os.readlink(root / "latest") == "lib/same"
    assert engine.call(messages.Activate(1, 0))["changed"]


def test_a_planted_link_does_not_lead_a_write_out_of_the_tree(engine: Engine, site: Path, tmp_path: Path) -> None:
    engine.stage_fully(1, small())
    outside = tmp_path / "outside"
    outside.mkdir()
    root = tree(site, 1)
    root.chmod(0o755)
    (root / "lib").chmod(0o755)
    for path in (root / "lib").iterdir():
        path.unlink()
    (root / "lib").rmdir()
    (root / "lib").symlink_to(outside)
    engine.stage_fully(1, small())
    assert list(outside.iterdir()) == []
    assert (root / "lib/same").read_bytes() == SMALL["lib/same"]


# ── space ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("size", "inodes"), [(1 << 62, 1), (1, 1 << 40)])
def test_what_does_not_fit_is_refused_with_figures(tmp_path: Path, size: int, inodes: int) -> None:
    from mikoshi.core.errors import DiskFull, InodesExhausted

    with pytest.raises((DiskFull, InodesExhausted)) as caught:
        space.require(str(tmp_path), size, inodes)
    assert caught.value.facts()["needed"] > caught.value.facts()["free"]


def test_a_file_system_without_inode_limit_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "space", lambda _path: (1 << 40, -1))
    space.require(str(tmp_path), 1, 1 << 20)


def test_a_shared_directory_is_not_made_by_way_of_a_link_that_the_application_left(
    engine: Engine, site: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (site / "shared" / "a").mkdir(parents=True)
    (site / "shared" / "a" / "b").symlink_to(elsewhere)
    with pytest.raises(Refusal) as caught:
        engine.stage(1, build({"app": b"one"}), Settings(shared=("a/b/c/",)))
    assert isinstance(caught.value.error, PathUnusable)
    assert list(elsewhere.iterdir()) == []
