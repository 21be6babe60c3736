"""Rules for source files that no general linter knows: sizes, unfinished work, imports of `core`, `node` and `drain`.

Usage: python -m tools.check_source. Everything is read as text or syntax trees; nothing is imported.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.findings import ROOT, Finding, relative, report

FILE_LIMIT = 600
FUNCTION_LIMIT = 60
UNFINISHED = re.compile(r"\b(T[O]DO|FIX[M]E|X[X]X)\b")
TEXT_SUFFIXES = {
    "",
    ".css",
    ".html",
    ".js",
    ".json",
    ".md",
    ".mjs",
    ".pl",
    ".psgi",
    ".py",
    ".pyi",
    ".sh",
    ".toml",
    ".yaml",
    ".yml",
}
TEXT_PLACES = (
    ".ci",
    "bench",
    "changelog.d",
    "docs",
    "examples",
    "src",
    "tests",
    "tools",
    "*.md",
    "*.toml",
    "Makefile",
)
NOT_OURS = {"__pycache__", "node_modules"}
CLOCK_READS = {"now", "today", "utcnow"}
PATHLIB_ALLOWED = {"PurePath", "PurePosixPath", "PureWindowsPath"}


def text_files(root: Path) -> Iterator[Path]:
    """The project's own text files, tests and documentation included."""
    for place in TEXT_PLACES:
        for found in root.glob(place):
            for path in found.rglob("*") if found.is_dir() else [found]:
                if path.is_file() and path.suffix in TEXT_SUFFIXES and not NOT_OURS & set(path.parts):
                    yield path


def check_unfinished(root: Path) -> Iterator[Finding]:
    """Work that is not done is finished or left out, never marked."""
    for path in text_files(root):
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").splitlines(), 1):
            if word := UNFINISHED.search(line):
                yield Finding(relative(root, path), number, f"{word.group()} marks unfinished work")


def python_modules(root: Path, *rooms: str) -> Iterator[tuple[Path, ast.Module]]:
    """Each Python file below the rooms, with its syntax tree."""
    for room in rooms:
        for path in sorted((root / room).rglob("*.py")):
            yield path, ast.parse(path.read_bytes(), filename=str(path))


def check_sizes(root: Path) -> Iterator[Finding]:
    """No file and no function that cannot be read in one go."""
    for path, tree in python_modules(root, "src", "tools"):
        length = len(path.read_bytes().splitlines())
        if length > FILE_LIMIT:
            yield Finding(relative(root, path), 1, f"{length} lines; a file has at most {FILE_LIMIT}")
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LIMIT:
                message = f"{node.name} has {length} lines; a function has at most {FUNCTION_LIMIT}"
                yield Finding(relative(root, path), node.lineno, message)


def at_run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node of a module but those that only type checkers read: the bodies of `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from (below for other in node.orelse for below in ast.walk(other))
            continue
        yield node
        yield from at_run_time(node)


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each import that a module does when it runs, as (line, dotted name)."""
    for node in at_run_time(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def check_imports(root: Path) -> Iterator[Finding]:
    """These rooms import the standard library and what is named here."""
    rooms = {
        "core": ("mikoshi.core",),
        "node": ("mikoshi.core", "mikoshi.node"),
        "drain": ("mikoshi.drain", "uvicorn"),
    }
    for room, allowed in rooms.items():
        for path, tree in python_modules(root, f"src/mikoshi/{room}"):
            for line, name in imported(tree):
                own = any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)
                if not own and name.split(".")[0] not in sys.stdlib_module_names:
                    yield Finding(relative(root, path), line, f"{room} may not import {name}")


def impurity(node: ast.AST) -> str | None:
    """What a node does that a pure module must not, or None."""
    if isinstance(node, ast.ImportFrom) and node.module == "pathlib":
        concrete = {alias.name for alias in node.names} - PATHLIB_ALLOWED
        return f"imports pathlib.{min(concrete)}; only the Pure* classes have no I/O" if concrete else None
    if isinstance(node, ast.Import) and any(alias.name == "pathlib" for alias in node.names):
        return "imports pathlib as a whole; import PurePosixPath from it"
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Name) and node.func.id in {"open", "print", "input", "breakpoint"}:
        return f"calls {node.func.id}()"
    if isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_READS:
        return f"reads the clock by .{node.func.attr}(); the time is an argument"
    return None


def check_purity(root: Path) -> Iterator[Finding]:
    """What import rules cannot see: `core` reads no file and no clock through a harmless module either."""
    for path, tree in python_modules(root, "src/mikoshi/core"):
        for node in ast.walk(tree):
            if problem := impurity(node):
                yield Finding(relative(root, path), getattr(node, "lineno", 1), f"core is pure: {problem}")


CHECKS = (check_unfinished, check_sizes, check_imports, check_purity)


def main() -> int:
    """Run every check over this repository."""
    return report(finding for check in CHECKS for finding in check(ROOT))


if __name__ == "__main__":
    sys.exit(main())
