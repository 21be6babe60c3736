"""What pages say of the code by name: tests and functions that are named there exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/**/*.md"), *ROOT.glob("changelog.d/*.md")]
)
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
NAMED_FUNCTION = re.compile(r"^\| \[[^\]]+\]\(([^)]+\.py)\) \| `([\w.]+)` \|", re.MULTILINE)


def defined(file: Path) -> set[str]:
    """Functions, classes and methods (as Class.method) that a module defines."""
    if not file.exists():
        return set()
    return set(_names(ast.parse(file.read_bytes()), ""))


def _names(parent: ast.AST, prefix: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from _names(node, f"{node.name}.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = NAMED_TEST.findall(page.read_text(encoding="utf-8"))
    assert [f"{file}::{name}" for file, name in named if name not in defined(ROOT / file)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_function_that_a_page_s_table_names_exists(page: Path) -> None:
    named = NAMED_FUNCTION.findall(page.read_text(encoding="utf-8"))
    assert [(file, name) for file, name in named if name not in defined(page.parent / file)] == []


def test_the_walk_and_the_guarantees_name_what_they_speak_of() -> None:
    walk = (ROOT / "docs/design/walk.md").read_text(encoding="utf-8")
    guarantees = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    assert len(NAMED_FUNCTION.findall(walk)) > 30
    assert len(NAMED_TEST.findall(guarantees)) > 20
