"""Sources in git: any commit as a fresh clone would have it, and what is not committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mikoshi.core.errors import NotPackable, RefUnknown, SourceDirty
from mikoshi.core.transfer import places
from tests.packing.sources import Packing, commit_all, git, paths, write_tree

pytestmark = pytest.mark.needs("git")


def test_a_ref_packs_what_was_committed_whatever_the_work_tree_holds(packing: Packing) -> None:
    write_tree(packing.source, {"app.py": "1", "bin/run": "2", ".gitignore": "*.log\n"})
    (packing.source / "bin/run").chmod(0o755)
    (packing.source / "current").symlink_to("bin/run")
    commit = commit_all(packing.source)
    clean = packing.pack()
    write_tree(packing.source, {"app.py": "changed", "new": "", "a.log": ""})
    by_ref, dirty = packing.pack(ref="HEAD"), packing.pack()
    assert by_ref.release == clean.release != dirty.release
    assert (clean.record.commit, clean.record.dirty) == (commit, False)
    assert (dirty.record.commit, dirty.record.dirty) == (commit, True)
    assert git(packing.source, "status", "--porcelain") == "M app.py\n?? new"
    assert not list((packing.root / "cache").glob("ref-*"))


def test_an_app_in_a_subdirectory_of_its_repository_is_packed_alone_with_the_rules_above_it(packing: Packing) -> None:
    write_tree(
        packing.root / "source",
        {
            ".gitignore": "*.tmp\n",
            ".gitattributes": "*.bat eol=crlf\n",
            "shop/a": "1",
            "shop/b.bat": "x\n",
            "other": "2",
        },
    )
    commit_all(packing.source)
    shop = Packing(packing.source / "shop", packing.root)
    write_tree(packing.source, {"shop/c.tmp": "", "other": "changed"})
    packed = shop.pack(clean=True)
    assert paths(packed) == ["a", "b.bat"]
    by_ref = shop.pack(ref="HEAD")
    assert paths(by_ref) == ["a", "b.bat"]
    (place,) = (p for p in places(by_ref.manifest, by_ref.index) if by_ref.reader.read(p) != b"1")
    assert by_ref.reader.read(place) == b"x\r\n"


def test_uncommitted_changes_are_refused_where_only_commits_may_be_deployed(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1", "b c": "1", "gone": ""})
    with pytest.raises(RefUnknown):
        packing.pack(clean=True)
    git(packing.source, "init", "--quiet")
    with pytest.raises(RefUnknown, match="no commit"):
        packing.pack(clean=True)
    assert packing.pack().record.commit == ""
    commit_all(packing.source)
    write_tree(packing.source, {".mikoshi/secrets.production": "x"})
    packing.pack(clean=True)
    write_tree(packing.source, {"b c": "2", "new\nfile": ""})
    (packing.source / "gone").unlink()
    with pytest.raises(SourceDirty) as caught:
        packing.pack(clean=True)
    assert sorted(caught.value.paths) == ["b c", "gone", "new\nfile"]


def test_a_commit_of_the_same_tree_makes_its_release_clean(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1"})
    commit_all(packing.source)
    write_tree(packing.source, {"a": "2"})
    assert packing.pack().record.dirty
    commit = commit_all(packing.source)
    assert (packing.pack().record.commit, packing.library.releases("shop")[0].dirty) == (commit, False)


@pytest.mark.parametrize("ref", ["nothing", "--help", "HEAD:a"])
def test_a_ref_that_git_does_not_know_is_named(packing: Packing, ref: str) -> None:
    write_tree(packing.source, {"a": "1"})
    commit_all(packing.source)
    with pytest.raises(RefUnknown) as caught:
        packing.pack(ref=ref)
    assert caught.value.ref == ref
    assert caught.value.reason


def test_a_ref_outside_git_is_an_error_with_git_s_reason(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1"})
    with pytest.raises(RefUnknown, match="not a git repository"):
        packing.pack(ref="HEAD")


def test_submodules_are_part_of_a_ref(packing: Packing, tmp_path: Path) -> None:
    library = write_tree(tmp_path / "library of theirs", {"inner": "1"})
    commit_all(library)
    write_tree(packing.source, {"a": "1"})
    commit_all(packing.source)
    git(packing.source, "submodule", "--quiet", "add", str(library), "vendor/lib")
    commit_all(packing.source)
    assert paths(packing.pack(ref="HEAD")) == [".gitmodules", "a", "vendor/lib/inner"]
    git(packing.source, "submodule", "--quiet", "deinit", "--force", "vendor/lib")
    with pytest.raises(RefUnknown, match="submodule vendor/lib"):
        packing.pack(ref="HEAD")


def test_a_file_that_git_tracks_and_ignores_is_left_out_aloud(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1", ".gitignore": "dist/\n*.min.js\n", "dist/app.js": "1", "x.min.js": "1"})
    git(packing.source, "init", "--quiet")
    git(packing.source, "add", "--force", "dist/app.js", "x.min.js")
    commit_all(packing.source)
    packed = packing.pack(clean=True)
    assert paths(packed) == [".gitignore", "a"]
    assert [note.rpartition(": ")[2] for note in packed.notes] == ["dist/app.js, x.min.js"]
    assert packing.pack(ref="HEAD").release == packed.release
    write_tree(packing.source, {".mikoshiignore": "!dist/\n!*.min.js\n"})
    with_them = packing.pack()
    assert paths(with_them) == [".gitignore", "a", "dist/app.js", "x.min.js"]
    assert with_them.notes == ()


def test_a_repository_that_git_refuses_is_packed_and_said(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1"})
    commit_all(packing.source)
    (packing.source / ".git/config").write_text("[broken")
    packed = packing.pack()
    assert packed.record.commit == ""
    assert "bad config" in packed.notes[0]
    with pytest.raises(RefUnknown, match="bad config"):
        packing.pack(clean=True)


def test_a_pointer_to_a_large_file_is_not_deployed_in_its_place(packing: Packing) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    write_tree(packing.source, {".gitattributes": "*.bin filter=lfs\n", "film.bin": pointer, "small.bin": "content"})
    commit_all(packing.source)
    with pytest.raises(NotPackable) as caught:
        packing.pack(ref="HEAD")
    assert caught.value.path == "film.bin"


def test_a_commit_that_has_nothing_of_the_application_is_not_its_commit(packing: Packing) -> None:
    write_tree(packing.source.parent, {"README": "another project"})
    commit_all(packing.source.parent)
    write_tree(packing.source, {"app.py": "1"})
    record = packing.pack().record
    assert (record.commit, record.dirty) == ("", False)
