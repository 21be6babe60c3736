"""From a source to a kept release: the same tree has the same id, and only what changed is read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mikoshi.core.errors import DiskFull, FileChanged, NotPackable
from mikoshi.core.transfer import check, places
from mikoshi.packing import content, statcache
from mikoshi.packing.clock import Moment
from tests.packing.sources import LONG_AGO, Packing, write_tree

TREE = {"app.py": "print('hi')\n", "bin/run": "#!/bin/sh\n", "names/caf\u00e9": "x", "empty/": ""}


def a_tree(root: Path) -> None:
    write_tree(root, TREE)
    (root / "bin/run").chmod(0o700)
    (root / "current").symlink_to("bin/run")


def age(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the file system's clock be an hour ahead, so that files made by the test count as settled."""
    real = statcache.settled

    def later(status: os.stat_result, moment: Moment | None) -> bool:
        assert moment is not None
        return real(status, Moment(moment.device, moment.nanoseconds + 3600 * 10**9))

    monkeypatch.setattr(statcache, "settled", later)


def test_the_id_of_a_known_tree_never_changes(packing: Packing) -> None:
    a_tree(packing.source)
    assert packing.pack().release == "519108446829db77e5d1ab02032497a13dcbcfd92dd55344dd407859dd16e574"


def test_the_id_depends_on_nothing_but_the_tree(packing: Packing, tmp_path: Path) -> None:
    a_tree(packing.source)
    other = Packing(tmp_path / "elsewhere" / "deep", tmp_path / "other")
    for path in reversed(TREE):
        write_tree(other.source, {path: TREE[path]})
    a_tree(other.source)
    for file in (other.source / "app.py", other.source / "bin/run"):
        os.utime(file, (LONG_AGO, LONG_AGO))
    (other.source / "app.py").chmod(0o600)
    (other.source / "bin/run").chmod(0o755)
    first, second = packing.pack(), other.pack(at=5.0, environment="staging", message="why")
    assert first.release == second.release
    (other.source / "app.py").chmod(0o755)
    assert other.pack().release != first.release


def test_every_chunk_of_a_packed_release_can_be_read(packing: Packing) -> None:
    a_tree(packing.source)
    write_tree(packing.source, {"big": os.urandom(2_000_000)})
    packed = packing.pack()
    check(packed.manifest, packed.index)
    found: dict[str, bytes] = {}
    for place in places(packed.manifest, packed.index):
        found[place.file] = found.get(place.file, b"") + packed.reader.read(place)
    for entry in packed.manifest.files():
        assert found[entry.digest] == (packing.source / entry.path).read_bytes()


def test_unchanged_files_are_not_read_again(packing: Packing, monkeypatch: pytest.MonkeyPatch) -> None:
    age(monkeypatch)
    a_tree(packing.source)
    assert packing.pack().hashed_files == 3
    again = packing.pack()
    assert (again.hashed_files, again.hashed_bytes) == (0, 0)
    write_tree(packing.source, {"app.py": "print('ho')\n"})
    changed = packing.pack()
    assert (changed.hashed_files, changed.hashed_bytes) == (1, 12)
    assert changed.release != again.release


def test_an_edit_within_the_clock_s_granularity_is_noticed(packing: Packing) -> None:
    """Same size, same inode, time stamps put back, at once after packing: only the hash can tell."""
    write_tree(packing.source, {"a": "old"})
    before = packing.pack()
    status = (packing.source / "a").stat()
    with (packing.source / "a").open("r+") as file:
        file.write("new")
    os.utime(packing.source / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    after = packing.pack()
    assert after.release != before.release
    assert after.hashed_files == 1


def test_a_damaged_stat_cache_is_an_empty_one(packing: Packing, monkeypatch: pytest.MonkeyPatch) -> None:
    age(monkeypatch)
    a_tree(packing.source)
    expected = packing.pack().release
    (cache,) = (packing.root / "cache" / "stat").iterdir()
    whole = cache.read_bytes()
    for damaged in (b"", b"x", whole[:-1], whole[:60] + b"\xff" + whole[61:], whole + b"\0"):
        cache.write_bytes(damaged)
        packed = packing.pack()
        assert (packed.release, packed.hashed_files) == (expected, 3)
        assert packing.pack().hashed_files == 0


def test_a_file_that_never_keeps_still_fails_by_name(packing: Packing, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(packing.source, {"busy": "x" * 100})
    real, attempts = content.copy_hashing, list[int]()

    def while_written(source: int, copy: int, expected: int) -> tuple[str, int, bytes]:
        result = real(source, copy, expected)
        attempts.append(1)
        write_tree(packing.source, {"busy": "x" * len(attempts)})
        return result

    monkeypatch.setattr(content, "copy_hashing", while_written)
    with pytest.raises(FileChanged) as caught:
        packing.pack()
    assert caught.value.path == "busy"
    assert len(attempts) == content.ATTEMPTS
    assert list((packing.root / "library/objects/new").iterdir()) == []


def test_a_file_that_was_caught_in_the_middle_of_a_write_is_read_again(
    packing: Packing, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(packing.source, {"once": "before"})
    real, attempts = content.copy_hashing, list[int]()

    def truncated_once(source: int, copy: int, expected: int) -> tuple[str, int, bytes]:
        if not attempts:
            attempts.append(1)
            os.truncate(packing.source / "once", 3)
        return real(source, copy, expected)

    monkeypatch.setattr(content, "copy_hashing", truncated_once)
    packed = packing.pack()
    (place,) = places(packed.manifest, packed.index)
    assert packed.reader.read(place) == b"bef"


def test_a_file_that_cannot_be_read_is_named(packing: Packing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read every file, so that the system's refusal is played."""
    write_tree(packing.source, {"a": "", "secret": "x"})
    real = os.open

    def refusing(path: bytes | str, flags: int, mode: int = 0o777) -> int:
        if path == os.fsencode(packing.source / "secret"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(NotPackable) as caught:
        packing.pack()
    assert (caught.value.path, caught.value.reason) == ("secret", "Permission denied")


def test_a_full_disk_is_told_apart_from_a_file_that_cannot_be_read(
    packing: Packing, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tree(packing.source, {"a": "x"})

    def full(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(content, "write_all", full)
    with pytest.raises(DiskFull) as caught:
        packing.pack()
    assert caught.value.path == str(packing.root / "library/objects")
    assert list((packing.root / "library/objects/new").iterdir()) == []
