"""The reference pages, the validator and docs/reference/configuration.md say the same."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from mikoshi.config.reference import SECTIONS, docs, markdown
from mikoshi.config.schema import Items, Leaf, Names, Spec, Table, key_paths
from mikoshi.config.sections.document import DOCUMENT
from mikoshi.core.errors import WrongUsage
from tests.config.reading import configuration

PAGES = Path("src/mikoshi/config/docs")
ROOT = Path(__file__).parents[2]


def known() -> set[tuple[str, ...]]:
    """Every key that is built, with [defaults] as one more environment."""
    return {as_environment(path) for path in key_paths(DOCUMENT)} - elsewhere()


def elsewhere() -> set[tuple[str, ...]]:
    """Overrides of processes: the pages show one key of them and send the reader to [process.NAME]."""
    own = [path[1:] for path in key_paths(DOCUMENT) if path[:2] == ("process", "*")]
    bases = (("env", "*", "process"), ("env", "*", "hosts", "process"))
    return {(*base, *path) for base in bases for path in own}


def as_environment(path: tuple[str, ...]) -> tuple[str, ...]:
    return ("env", "*", *path[1:]) if path[0] == "defaults" and len(path) > 1 else path


def written(spec: Spec, value: object, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The key paths that a document has, with the user's own names as `*`."""
    found: set[tuple[str, ...]] = {path} if path else set()
    match spec, value:
        case Table(), dict():
            for key, item in value.items():
                found |= written(spec.keys[key], item, (*path, key))
        case Names(), dict():
            for item in value.values():
                found |= written(spec.item, item, (*path, "*"))
        case Items(), list():
            for item in value:
                found |= written(spec.item, item, path)
        case _:
            assert isinstance(spec, Leaf | Items | Table), f"{path} is not built, yet it is on a page"
    return found


def test_the_pages_have_exactly_the_keys_of_the_schema() -> None:
    pages = {as_environment(path) for path in written(DOCUMENT, tomllib.loads(docs()))}
    assert pages - elsewhere() == known()


def test_every_page_is_in_the_list_and_every_key_on_it_has_a_comment() -> None:
    assert {page.stem for page in (ROOT / PAGES).glob("*.toml")} == set(SECTIONS)
    explained: set[str] = set()
    for section in SECTIONS:
        lines = docs(section).splitlines()
        assert lines[0].startswith("# ")
        for above, line in pairwise(lines):
            if found := re.match(r"([a-z]\S*) =", line):
                assert above.startswith("# ") or found[1] in explained, (section, line)
                explained.add(found[1])


def test_all_pages_together_are_a_valid_configuration() -> None:
    found = configuration(docs())
    assert found.environments == ("production", "staging")
    for name in found.environments:
        assert found.environment(name).app == "shop"


def test_each_default_on_a_page_is_the_one_that_holds() -> None:
    """A comment "Default: X." before a key that has a default in the schema names that default."""
    found = leaves(DOCUMENT)
    of_key = {path[-1]: {str(leaf.default) for other, leaf in found if other[-1] == path[-1]} for path, _ in found}
    defaults = {path[-1]: leaf for path, leaf in found if len(of_key[path[-1]]) == 1}
    checked = set()
    for comment, key in re.findall(r"((?:^#.*\n)+)^([a-z_]+) =", docs(), re.MULTILINE):
        said = re.search(r"Default: (\"[^\"]*\"|\d+)", comment.replace("\n#", ""))
        if said and key in defaults and defaults[key].default is not None:
            assert tomllib.loads(f"x = {said[1]}")["x"] == defaults[key].default, key
            checked.add(key)
    assert {"build_on", "style", "source", "keep", "first", "step", "bake", "connect", "connections"} <= checked


def leaves(spec: Spec, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Leaf]]:
    match spec:
        case Leaf():
            return [(path, spec)]
        case Table():
            return [found for key, below in spec.keys.items() for found in leaves(below, (*path, key))]
        case Names() | Items():
            return leaves(spec.item, path)
        case _:
            return []


def test_every_default_is_itself_valid() -> None:
    for path, leaf in leaves(DOCUMENT):
        if leaf.default is not None:
            assert leaf.parse(leaf.default) is not None, path


def test_the_markdown_reference_is_current() -> None:
    page = ROOT / "docs" / "reference" / "configuration.md"
    assert page.read_text(encoding="utf-8") == markdown(), "make it anew: python -m tools.configuration_reference"


def test_an_unknown_section_is_refused_with_the_nearest() -> None:
    with pytest.raises(WrongUsage) as caught:
        docs("host")
    assert 'did you mean "hosts"?' in caught.value.reason
