"""The kept releases: each content once, complete or not at all, and none dropped that is needed."""

from __future__ import annotations

import stat

import pytest

from mikoshi.core.errors import ContentMissing, ReleaseUnknown
from mikoshi.core.release import release_id
from mikoshi.core.transfer import places
from mikoshi.packing.kept import KeptRelease
from mikoshi.packing.library import Library
from tests.packing.sources import Packing, write_tree


def test_a_deploy_that_changes_nothing_keeps_no_second_copy(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1", "copy of a": "1", "b": "2", "c": "3"})

    def files() -> list[str]:
        return sorted(str(file) for file in (packing.root / "library").rglob("*") if file.is_file())

    packing.pack(at=1.0)
    before = files()
    packing.pack(at=2.0)
    assert files() == before
    assert len(packing.library.objects.digests()) == 3


def test_releases_say_who_made_them_when_and_from_what(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1"})
    first = packing.pack(at=1.0, message="one")
    write_tree(packing.source, {"a": "22"})
    second = packing.pack(at=2.0)
    packing.pack(at=3.0)
    newest, oldest = packing.library.releases("shop")
    assert (newest.id, newest.at, newest.used, newest.size, newest.files) == (second.release, 2.0, 3.0, 2, 1)
    assert (oldest.id, oldest.by, oldest.message, oldest.commit) == (first.release, "mika", "one", "")
    assert packing.library.releases("other") == []


def test_a_release_is_found_by_the_beginning_of_its_id(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1"})
    release = packing.pack().release
    assert packing.library.find("shop", release[:6].upper()) == release
    assert release_id(b"") != release
    for prefix, app in (("", "shop"), ("zz", "shop"), (release, "other")):
        with pytest.raises(ReleaseUnknown):
            packing.library.find(app, prefix)


def test_an_ambiguous_id_names_what_it_could_be(packing: Packing) -> None:
    for number in range(17):
        write_tree(packing.source, {"a": str(number)})
        packing.pack()
    ids = [record.id for record in packing.library.releases("shop")]
    shared = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    with pytest.raises(ReleaseUnknown) as caught:
        packing.library.find("shop", shared)
    assert sorted(caught.value.matches) == sorted(one for one in ids if one[0] == shared)


def test_pruning_keeps_the_newest_what_is_protected_and_their_content(packing: Packing) -> None:
    made = []
    for number in range(6):
        write_tree(packing.source, {"a": f"content {number}", "same": "same"})
        made.append(packing.pack(at=float(number)))
    (packing.root / "library/objects/new/left-over").touch()
    dropped = packing.library.prune("shop", 2, protect=[made[0].release])
    assert sorted(dropped) == sorted(packed.release for packed in made[1:4])
    library = packing.library
    for packed in (made[0], made[4], made[5]):
        assert library.missing(library.manifest(packed.release)) == []
    assert len(library.objects.digests()) == 4
    for packed in made[1:4]:
        with pytest.raises(ReleaseUnknown):
            library.manifest(packed.release)
    assert list((packing.root / "library/objects/new").iterdir()) == []
    assert library.prune("shop", 2, protect=[made[0].release]) == []


def test_pruning_touches_no_content_of_another_app(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1"})
    packed = packing.pack()
    library = packing.library
    library.keep(b"mikoshi release 1\n3:any,", KeptRelease("0" * 64, "other", "m", 1, 1, 0, 0, "any"))
    library.prune("other", 0)
    assert library.missing(library.manifest(packed.release)) == []


def test_nothing_is_pruned_while_the_library_is_in_use(packing: Packing) -> None:
    write_tree(packing.source, {"a": "1"})
    packing.pack()
    with Library(packing.root / "library").in_use():
        assert packing.library.prune("shop", 0) == []
    assert len(packing.library.prune("shop", 0)) == 1


def test_a_damaged_object_is_read_again_from_the_source(packing: Packing) -> None:
    write_tree(packing.source, {"a": "content"})
    packed = packing.pack()
    (place,) = places(packed.manifest, packed.index)
    object_file = packing.library.objects.path(place.file)
    for damaged in (b"", b"contenu", b"conten"):
        object_file.write_bytes(damaged)
        assert packed.reader.read(place) == b"content"
        assert object_file.read_bytes() == b"content"


def test_a_damaged_object_without_a_source_is_removed_and_named(packing: Packing) -> None:
    write_tree(packing.source, {"a": "content"})
    packed = packing.pack()
    (place,) = places(packed.manifest, packed.index)
    packing.library.objects.path(place.file).write_bytes(b"contenu")
    write_tree(packing.source, {"a": "other"})
    with pytest.raises(ContentMissing) as caught:
        packed.reader.read(place)
    assert (caught.value.release, caught.value.paths) == (packed.release, ["a"])
    assert packing.library.missing(packed.manifest) == ["a"]


def test_a_damaged_manifest_is_no_manifest(packing: Packing) -> None:
    write_tree(packing.source, {"a": "content"})
    release = packing.pack().release
    (packing.root / "library/manifests" / release).write_bytes(b"mikoshi release 1\n3:any,")
    with pytest.raises(ReleaseUnknown):
        packing.library.manifest(release)
    assert packing.pack().release == release
    assert len(packing.library.manifest(release).entries) == 1


def test_what_is_kept_is_readable_by_its_owner_alone(packing: Packing) -> None:
    write_tree(packing.source, {"a": "content"})
    packing.pack()
    assert stat.S_IMODE((packing.root / "library").stat().st_mode) == 0o700
