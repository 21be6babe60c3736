"""Manifests: one tree has one encoding and one id, and no manifest names a tree that no node could hold."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikoshi.core.release import (
    Entry,
    MalformedManifest,
    decode,
    decode_known,
    difference,
    directory_entry,
    encode,
    file_entry,
    leaving_link,
    link_entry,
    link_leaves_tree,
    manifest,
    patched,
    release_id,
)
from tests.core.trees import PLATFORMS, TREES

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
A_TREE = (
    directory_entry("empty"),
    file_entry("bin/run", 0o700, 0, EMPTY),
    file_entry("caf\u00e9", 0o600, 0, EMPTY),
    link_entry("lib", "bin/../bin"),
)


def test_the_id_of_a_known_tree_never_changes() -> None:
    encoded = encode(manifest("any", A_TREE))
    assert encoded == (
        b"mikoshi release 1\n3:any,"
        b"4:file,7:bin/run,3:755,1:0,64:" + EMPTY.encode() + b","
        b"4:file,5:caf\xc3\xa9,3:644,1:0,64:" + EMPTY.encode() + b","
        b"3:dir,5:empty,0:,0:,0:,"
        b"4:link,3:lib,0:,0:,10:bin/../bin,"
    )
    assert release_id(encoded) == "72d875ad16a191666f5089637c40463cd8769facbb55254d8f1f4711caa0f9eb"


@given(PLATFORMS, TREES, st.randoms(use_true_random=False))
def test_the_id_does_not_depend_on_the_order_of_the_walk(
    platform: str, tree: list[Entry], random: random.Random
) -> None:
    shuffled = list(tree)
    random.shuffle(shuffled)
    assert encode(manifest(platform, shuffled)) == encode(manifest(platform, tree))


@given(PLATFORMS, TREES)
def test_decoding_gives_back_what_was_encoded(platform: str, tree: list[Entry]) -> None:
    release = manifest(platform, tree)
    assert decode(encode(release)) == release


@given(PLATFORMS, TREES, TREES)
def test_different_trees_have_different_bytes(platform: str, one: list[Entry], other: list[Entry]) -> None:
    first, second = manifest(platform, one), manifest(platform, other)
    assert (encode(first) == encode(second)) == (first == second)


@given(PLATFORMS, TREES, TREES)
def test_a_difference_leads_from_one_manifest_to_the_other(platform: str, old: list[Entry], new: list[Entry]) -> None:
    before, after = manifest("any", old), manifest(platform, new)
    dropped, changed = difference(before, after)
    assert patched(before, platform, dropped, changed) == after


def test_a_difference_names_only_what_changed() -> None:
    same, old, new = file_entry("s", 0, 0, EMPTY), file_entry("c", 0, 0, EMPTY), file_entry("c", 0o755, 0, EMPTY)
    before = manifest("any", [same, old, directory_entry("gone")])
    assert difference(before, manifest("any", [same, new])) == (("gone",), (new,))


@given(PLATFORMS, TREES, st.data())
def test_a_changed_byte_is_never_read_as_the_same_manifest(
    platform: str, tree: list[Entry], data: st.DataObject
) -> None:
    encoded = encode(manifest(platform, tree))
    at = data.draw(st.integers(0, len(encoded) - 1))
    damaged = encoded[:at] + bytes([encoded[at] ^ data.draw(st.integers(1, 255))]) + encoded[at + 1 :]
    try:
        release = decode(damaged)
    except MalformedManifest:
        return
    assert encode(release) == damaged


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    for candidate in (data, b"mikoshi release 1\n" + data):
        try:
            decode(candidate)
        except MalformedManifest:
            pass


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\0b", "\udc80"])
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    with pytest.raises(MalformedManifest):
        manifest("any", [file_entry(path, 0o644, 0, EMPTY)])


@pytest.mark.parametrize(
    "entry",
    [
        Entry("file", "a", 0o600, 0, EMPTY),
        Entry("file", "a", 0o644, -1, EMPTY),
        Entry("file", "a", 0o644, 0, "../../../../../../../../../../../../../../../../../etc/passwd000"),
        Entry("file", "a", 0o644, 0, EMPTY.upper()),
        Entry("file", "a", 0o644, 0, EMPTY[:-1] + "\n"),
        Entry("socket", "a"),
        Entry("link", "a", target="/etc/passwd"),
        Entry("link", "a", target=""),
        Entry("link", "a", target="b\0"),
        Entry("link", "a", target="\udc80"),
    ],
)
def test_an_entry_that_no_node_could_hold_is_refused(entry: Entry) -> None:
    with pytest.raises(MalformedManifest):
        manifest("any", [entry])


def test_nothing_stands_below_anything_but_a_directory_that_is_not_listed() -> None:
    below = file_entry("a/b/c", 0o644, 0, EMPTY)
    for above in (directory_entry("a"), link_entry("a", "x"), file_entry("a/b", 0o644, 0, EMPTY)):
        with pytest.raises(MalformedManifest):
            manifest("any", [below, above])
    with pytest.raises(MalformedManifest):
        manifest("any", [below, below])


@pytest.mark.parametrize(
    ("path", "target", "leaves"),
    [
        ("a", "b", False),
        ("a", "..", True),
        ("d/a", "..", False),
        ("d/a", "../..", True),
        ("d/a", "../x/../y", False),
        ("d/a", "x/../../..", True),
        ("d/a", ".//../b", False),
        ("a", "/", True),
        ("a", "", True),
        ("a", "...", False),
    ],
)
def test_a_link_leaves_by_its_text_if_it_climbs_above_the_root(path: str, target: str, leaves: bool) -> None:
    assert link_leaves_tree(path, target) is leaves


def test_a_link_that_leaves_by_way_of_another_link_is_refused() -> None:
    links = {"b/c/up": "../../a", "out": "b/c/up/../../secret"}
    assert not any(link_leaves_tree(path, target) for path, target in links.items())
    assert leaving_link(links) == "out"
    with pytest.raises(MalformedManifest, match="by way of"):
        manifest("any", [link_entry(path, target) for path, target in links.items()])


def test_links_in_a_circle_or_to_nowhere_stay_inside() -> None:
    assert leaving_link({"a": "b", "b": "a", "c": "c/../c", "d": "nothing/here", "e/f": "../d/x"}) == ""


def test_size_counts_every_file_and_mode_knows_two_values() -> None:
    release = manifest("any", [file_entry("a", 0o100, 3, EMPTY), file_entry("b", 0o666, 4, EMPTY)])
    assert release.size() == 7
    assert [entry.mode for entry in release.files()] == [0o755, 0o644]


@given(PLATFORMS, TREES)
def test_known_bytes_give_the_same_manifest_without_a_second_look(platform: str, entries: list[Entry]) -> None:
    made = manifest(platform, entries)
    known = decode_known(encode(made))
    assert (known, known.encoded, known.id) == (made, made.encoded, made.id)
