"""Holds `core`, `node` and `drain` to Python 3.9's grammar and library: they run on servers with nothing newer.

Usage: python -m tools.check_py39 [DIRECTORY...]. vermin knows grammar and library. It does not look for
`X | Y` between types at run time once annotations are postponed, which is the likeliest slip here (the alias
of a union), so this module does. In annotations, which are never evaluated there, `X | Y` is fine.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.findings import ROOT, Finding, relative, report

ROOMS = ("src/mikoshi/core", "src/mikoshi/node", "src/mikoshi/drain")
BUILTIN_TYPES = {
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "set",
    "str",
    "tuple",
}
CLASS_NAME = re.compile(r"_?[A-Z]\w*[a-z]")


def vermin_violations(directory: Path) -> str | None:
    """What vermin says in a directory needs a newer Python than 3.9, or None if nothing does."""
    vermin = str(Path(sys.executable).with_name("vermin"))
    command = [vermin, "--no-tips", "--no-parse-comments", "--violations", "-t=3.9-", str(directory)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if run.returncode == 0 else (run.stdout + run.stderr).strip()


def annotations_of(tree: ast.AST) -> set[ast.AST]:
    """Every node that is part of an annotation."""
    roots: list[ast.AST | None] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg):
            roots.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            roots.append(node.returns)
    return {part for root in roots if root is not None for part in ast.walk(root)}


def looks_like_type(node: ast.expr) -> bool:
    """Whether an operand of `|` is a class, not a flag: None, a built-in type or a name in CapWords."""
    if isinstance(node, ast.Subscript):
        return looks_like_type(node.value)
    if isinstance(node, ast.Constant):
        return node.value is None
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in BUILTIN_TYPES or CLASS_NAME.match(name) is not None


def runtime_unions(tree: ast.AST) -> Iterator[int]:
    """The lines on which two types are joined by `|` where Python 3.9 evaluates it."""
    annotations = annotations_of(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.BitOr) or node in annotations:
            continue
        if looks_like_type(node.left) or looks_like_type(node.right):
            yield node.lineno


def postpones_annotations(tree: ast.Module) -> bool:
    """Whether a module has `from __future__ import annotations`, or holds nothing but its docstring."""
    if all(isinstance(node, ast.Expr) for node in tree.body):
        return True
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in tree.body
    )


def check_module(root: Path, path: Path) -> Iterator[Finding]:
    """What vermin does not see in one module."""
    tree = ast.parse(path.read_bytes())
    where = relative(root, path)
    if not postpones_annotations(tree):
        yield Finding(where, 1, "Python 3.9 room: needs `from __future__ import annotations`")
    for line in runtime_unions(tree):
        yield Finding(where, line, "Python 3.9 room: `X | Y` between types at run time; use typing.Union")


def main() -> int:
    """Check the directories named on the command line, or every such room."""
    directories = [Path(name).resolve() for name in sys.argv[1:]] or [ROOT / room for room in ROOMS]
    texts = [text for directory in directories if (text := vermin_violations(directory))]
    for text in texts:
        print(text, file=sys.stderr)
    own = report(
        finding
        for directory in directories
        for path in directory.rglob("*.py")
        for finding in check_module(ROOT if path.is_relative_to(ROOT) else directory, path)
    )
    return 1 if texts else own


if __name__ == "__main__":
    sys.exit(main())
