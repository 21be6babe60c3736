"""What belongs into a release: git's own answer is the measure for ignore files."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mikoshi.core.errors import LinkLeavesTree, NameNotUtf8, NothingToPack, NotPackable
from mikoshi.packing.collect import SourceTree, collect
from tests.packing.sources import git, write_tree


def files(tree: SourceTree) -> list[str]:
    return sorted(file.path for file in tree.files)


SEGMENTS = st.sampled_from(["a", "b", "ab", "*", "**", "a*", "?", "[ab]", "*.c", "[!a]"])
PATTERNS = st.builds(
    lambda negated, anchored, segments, below: negated + anchored + "/".join(segments) + below,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(SEGMENTS, min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)
IGNORE_FILES = st.dictionaries(
    st.sampled_from(["", "a/", "b/", "a/b/", "app/", "app/a/"]), st.lists(PATTERNS, max_size=4), max_size=4
)
TREE = [
    base + path
    for base in ("", "app/")
    for path in ("a/a", "a/b/a", "a/b/ab", "a/x.c", "b/a/b/a", "b/ab", "b/b", "ab/a", "ab/ab/b", "x.c", "x")
]


@pytest.mark.needs("git")
@settings(max_examples=120)
@given(IGNORE_FILES, st.lists(PATTERNS, max_size=2), st.sampled_from(["", "app"]))
def test_ignore_files_mean_what_git_says_they_mean(
    ignore_files: dict[str, list[str]], excluded: list[str], app: str
) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        write_tree(root, {".git/HEAD": "ref: refs/heads/main\n", ".git/objects/": "", ".git/refs/": ""})
        write_tree(root, dict.fromkeys(TREE, "x"))
        write_tree(root, {f"{base}.gitignore": "\n".join(lines) for base, lines in ignore_files.items()})
        write_tree(root, {".git/info/exclude": "\n".join(excluded)})
        # An application that somebody names is packed, even where git ignores its directory as a whole.
        whole = git(root, "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", ".")
        assume(not app or "app/" not in whole.split("\n"))
        listed = git(root / app, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
        expected = sorted(path for path in listed if path)
        try:
            assert files(collect(root / app)) == expected
        except NothingToPack:
            assert expected == []


def test_mikoshiignore_stands_above_gitignore_and_exclude_above_both(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            ".gitignore": "dist/\n*.log\n",
            ".mikoshiignore": "!dist/\n!keep.log\ndocs/\n",
            "dist/app.js": "",
            "keep.log": "",
            "other.log": "",
            "docs/a": "",
            "t/a": "",
            "sub/.mikoshiignore": "x\n",
            "sub/x": "",
            "sub/y": "",
            "mikoshi.toml": "",
            "sub/mikoshi.toml": "",
            ".mikoshi/secrets.production": "",
            ".git/HEAD": "",
            "sub/.git": "gitdir: elsewhere",
        },
    )
    tree = collect(tmp_path, exclude=["t/", "keep.log"])
    assert files(tree) == [".gitignore", "dist/app.js", "sub/mikoshi.toml", "sub/y"]


def test_nothing_comes_back_from_below_an_ignored_directory(tmp_path: Path) -> None:
    write_tree(tmp_path, {".gitignore": "build\n!build/keep\n", "build/keep": "", "a": ""})
    assert files(collect(tmp_path)) == [".gitignore", "a"]


def test_shared_paths_are_left_out_and_counted(tmp_path: Path) -> None:
    write_tree(tmp_path, {"media/a": "", "media/b/c": "", "storage/uploads/x": "", "db.sqlite": "", "a": "", "e/": ""})
    tree = collect(tmp_path, shared=["media/", "storage/uploads", "db.sqlite"])
    assert files(tree) == ["a"]
    assert tree.directories == ["e"]
    assert sorted(tree.notes) == [
        "db.sqlite is shared: it is not packed",
        "media/ is shared: 2 files in it are not packed",
        "storage/uploads/ is shared: 1 file in it are not packed",
    ]


def test_names_with_spaces_newlines_and_any_alphabet_are_packed_as_they_are(tmp_path: Path) -> None:
    names = ["with space", "new\nline", "cafe\u0301", "caf\u00e9", "名前", "-rf", "tab\t", "trailing "]
    write_tree(tmp_path, dict.fromkeys(names, ""))
    assert files(collect(tmp_path)) == sorted(names)


def test_a_name_that_ends_in_a_newline_is_not_taken_for_the_one_without(tmp_path: Path) -> None:
    write_tree(tmp_path, {".gitignore": "secret\n", "secret\n": "", "secret": ""})
    assert files(collect(tmp_path)) == [".gitignore", "secret\n"]


def test_a_name_that_is_not_utf8_is_refused_and_shown(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": ""})
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))).touch()
    with pytest.raises(NameNotUtf8) as caught:
        collect(tmp_path)
    assert caught.value.path == "caf\\xe9"
    assert files(collect(tmp_path, exclude=["caf*"])) == ["a"]


def test_sockets_and_pipes_are_refused_by_name_and_can_be_excluded(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a": ""})
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotPackable) as caught:
        collect(tmp_path)
    assert (caught.value.path, caught.value.reason) == ("pipe", "a named pipe")
    os.unlink(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener, tempfile.TemporaryDirectory() as short:
        listener.bind(f"{short}/s")
        os.rename(f"{short}/s", tmp_path / "app.sock")
        with pytest.raises(NotPackable, match="a socket"):
            collect(tmp_path)
        assert files(collect(tmp_path, exclude=["*.sock"])) == ["a"]


def test_links_are_packed_as_links_also_those_to_directories(tmp_path: Path) -> None:
    write_tree(tmp_path, {"real/file": "", "sub/a": ""})
    (tmp_path / "dir").symlink_to("real")
    (tmp_path / "sub/up").symlink_to("../real/file")
    (tmp_path / "nowhere").symlink_to("missing")
    tree = collect(tmp_path)
    assert sorted(tree.links) == [("dir", "real"), ("nowhere", "missing"), ("sub/up", "../real/file")]
    assert files(tree) == ["real/file", "sub/a"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "real/../../outside"])
def test_a_link_that_leaves_the_tree_is_refused(tmp_path: Path, target: str) -> None:
    write_tree(tmp_path, {"real/file": ""})
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(LinkLeavesTree) as caught:
        collect(tmp_path)
    assert (caught.value.path, caught.value.target) == ("link", target)
    assert files(collect(tmp_path, exclude=["link"])) == ["real/file"]


def test_a_link_that_leaves_by_way_of_another_link_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a/x": "", "b/c/x": ""})
    (tmp_path / "b/c/up").symlink_to("../../a")
    (tmp_path / "out").symlink_to("b/c/up/../../secret")
    with pytest.raises(LinkLeavesTree) as caught:
        collect(tmp_path)
    assert caught.value.path == "out"


def test_directories_with_nothing_packed_in_them_are_listed(tmp_path: Path) -> None:
    write_tree(tmp_path, {".gitignore": "*.log\n", "log/a.log": "", "empty/": "", "deep/er/": "", "full/a": ""})
    assert collect(tmp_path).directories == ["deep/er", "empty", "log"]


def test_nothing_at_all_is_an_error(tmp_path: Path) -> None:
    write_tree(tmp_path, {"mikoshi.toml": "", "empty/": ""})
    with pytest.raises(NothingToPack):
        collect(tmp_path)
