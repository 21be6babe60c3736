"""Digests remembered by inode: right for files at rest, and never believed of a file that was written to."""

from __future__ import annotations

import os
import time
from hashlib import sha256
from pathlib import Path

import pytest

from mikoshi.node.fingerprints import REST_NS, Fingerprints


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that has been at rest for long enough."""
    made = tmp_path / "file"
    made.write_text("one")
    deadline = time.monotonic() + 5
    while time.time_ns() <= made.stat().st_ctime_ns + REST_NS:
        assert time.monotonic() < deadline
        time.sleep(REST_NS / 1e9)
    return made


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def session(file: Path, kept: bytes = b"", boot: str = "this") -> Fingerprints:
    fingerprints = Fingerprints(kept, boot)
    fingerprints.read(str(file), file.lstat())
    return fingerprints


def test_the_next_session_knows_a_file_at_rest(file: Path) -> None:
    assert Fingerprints(session(file).saved(), "this").known(file.lstat()) == digest("one")


def test_an_edit_of_equal_size_with_its_times_put_back_is_noticed(file: Path) -> None:
    kept, before = session(file).saved(), file.lstat()
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    fingerprints = Fingerprints(kept, "this")
    assert fingerprints.known(file.lstat()) is None
    assert fingerprints.read(str(file), file.lstat()) == digest("two")


def test_another_name_for_the_file_does_not_make_it_unknown(file: Path) -> None:
    fingerprints, before = session(file), file.lstat()
    os.link(file, file.with_name("other"))
    assert fingerprints.known(file.lstat()) is None
    fingerprints.linked(before, file.lstat())
    assert Fingerprints(fingerprints.saved(), "this").known(file.lstat()) == digest("one")


def test_nothing_is_believed_across_a_boot(file: Path) -> None:
    assert Fingerprints(session(file).saved(), "another").known(file.lstat()) is None
    assert session(file, boot="").saved() == b""


def test_a_file_written_a_moment_ago_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = tmp_path / "fresh"
    fresh.write_text("one")
    written = fresh.lstat().st_ctime_ns
    monkeypatch.setattr("mikoshi.node.fingerprints.time.time_ns", lambda: written + REST_NS - 1)
    assert session(fresh).known(fresh.lstat()) is None
    monkeypatch.setattr("mikoshi.node.fingerprints.time.time_ns", lambda: written + REST_NS)
    assert session(fresh).known(fresh.lstat()) == digest("one")


@pytest.mark.parametrize("kept", [b"", b"{", b"[]", b'{"version": 1, "boot": "this", "files": [[1]]}', b"\xff"])
def test_damaged_memory_is_no_memory(file: Path, kept: bytes) -> None:
    assert Fingerprints(kept, "this").known(file.lstat()) is None


def test_what_a_session_did_not_use_is_forgotten(file: Path, tmp_path: Path) -> None:
    kept = session(file).saved()
    untouched = Fingerprints(kept, "this")
    assert Fingerprints(untouched.saved(), "this").known(file.lstat()) is None
