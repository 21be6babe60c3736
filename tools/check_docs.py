"""Holds the documentation to the code: what users type, read or parse has its entry; links lead on.

Usage: python -m tools.check_docs. Each check finds its subject in the repository, so that a new verb, option,
event, error or page falls under it without being listed anywhere.
"""

from __future__ import annotations

import ast
import re
import sys
from argparse import SUPPRESS, Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from tools.findings import ROOT, Finding, relative, report
from tools.markdown import anchors, code_blocks, headings, links, sections

REFERENCE = "docs/reference"
CLI_PAGE = f"{REFERENCE}/cli.md"
# Module, what its entries are called, and the union that lists them; without one, every public class is one.
DOCUMENTED = (
    ("src/mikoshi/core/events.py", "event", "Event"),
    ("src/mikoshi/core/errors.py", "error", None),
    ("src/mikoshi/core/running_errors.py", "error", None),
    ("src/mikoshi/core/plan.py", "plan action", "Action"),
)
PAGES = ("*.md", "docs", "examples", "changelog.d", "src", "bench")


def pages(root: Path) -> Iterator[Path]:
    """Every Markdown page of the project."""
    for place in PAGES:
        for found in root.glob(place):
            yield from (page for page in (found.rglob("*.md") if found.is_dir() else [found]))


def entries(root: Path) -> set[str]:
    """What the reference pages have an entry for: headings and first cells of tables, without backticks."""
    found: set[str] = set()
    for page in sorted((root / REFERENCE).rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        found.update(heading.text.replace("`", "") for heading in headings(text))
        found.update(re.findall(r"^\|\s*`([^`|]+)`", text, re.MULTILINE))
    return found


def public_classes(tree: ast.Module) -> dict[str, int]:
    """The classes of a module that its users see, with their lines."""
    classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
    return {node.name: node.lineno for node in classes if not node.name.startswith("_")}


def members(tree: ast.Module, union: str) -> dict[str, int]:
    """The members of a union that a module names by `union = Union[...]`, each with its class's line."""
    lines = public_classes(tree)
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [union]:
            names = {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name)} - {"Union"}
            return {name: lines.get(name, node.lineno) for name in names}
    return {}


def check_classes(root: Path) -> Iterator[Finding]:
    """Every event, error and plan action has an entry in the reference; each union is there to read."""
    documented = entries(root)
    for name, kind, union in DOCUMENTED:
        tree = ast.parse((root / name).read_bytes())
        subjects = members(tree, union) if union else public_classes(tree)
        if not subjects:
            yield Finding(name, 1, f"no {kind} found here; does {union or 'the module'} have another name now?")
        for subject in sorted(subjects.keys() - documented):
            yield Finding(name, subjects[subject], f"{kind} {subject} has no entry in {REFERENCE}/")


def check_verbs(root: Path, parser: ArgumentParser) -> Iterator[Finding]:
    """Every verb has a section in docs/reference/cli.md, and its long options are named there."""
    page = root / CLI_PAGE
    described = sections(page.read_text(encoding="utf-8")) if page.exists() else {}
    for verb, subparser in subparsers(parser).items():
        text = described.get(f"mikoshi {verb}", described.get(verb))
        if text is None:
            yield Finding(CLI_PAGE, 1, f"no section for `mikoshi {verb}`")
            continue
        for option in sorted(long_options(subparser)):
            if not re.search(rf"(?<![\w-]){option}(?![\w-])", text):
                yield Finding(CLI_PAGE, 1, f"the section of `mikoshi {verb}` does not name {option}")


def actions(parser: ArgumentParser) -> list[Action]:
    """What a parser accepts."""
    return parser._actions  # noqa: SLF001 - argparse has no public way to ask


def subparsers(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    """The verbs of a parser, or of a verb that has verbs of its own."""
    choices = [action.choices for action in actions(parser) if isinstance(action, _SubParsersAction)]
    return {name: subparser for group in choices for name, subparser in group.items()}


def long_options(parser: ArgumentParser) -> set[str]:
    """The long options of a verb and of what is below it; those that help hides are not for users."""
    shown = (action for action in actions(parser) if action.help != SUPPRESS and action.dest != "help")
    own = {option for action in shown for option in action.option_strings if option.startswith("--")}
    return own.union(*(long_options(below) for below in subparsers(parser).values()))


def check_links(root: Path) -> Iterator[Finding]:
    """Every link to a file or a heading of this repository leads somewhere."""
    for page in pages(root):
        text = page.read_text(encoding="utf-8")
        for line, target in links(text):
            if problem := broken(root, page, target):
                yield Finding(relative(root, page), line, problem)


def broken(root: Path, page: Path, target: str) -> str | None:
    """What is wrong with a link on a page, or None. Links to other sites are not followed."""
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return None
    name, _, anchor = unquote(target).partition("#")
    base = root if name.startswith("/") else page.parent
    file = (base / name.lstrip("/")).resolve() if name else page
    if not file.exists():
        return f"link to {target}: no such file"
    if anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
        return f"link to {target}: no such heading"
    return None


def check_translations(root: Path) -> Iterator[Finding]:
    """A Japanese page has the headings of the English one, level by level, and the same code."""
    for japanese in (page for page in pages(root) if page.name.endswith(".ja.md")):
        english = japanese.with_name(japanese.name.removesuffix(".ja.md") + ".md")
        where = relative(root, japanese)
        if not english.exists():
            yield Finding(where, 1, f"translates {english.name}, which is not there")
            continue
        original, translated = english.read_text(encoding="utf-8"), japanese.read_text(encoding="utf-8")
        if [h.level for h in headings(original)] != [h.level for h in headings(translated)]:
            yield Finding(where, 1, f"its headings are not those of {english.name}")
        for block in code_blocks(original):
            if block.text not in {other.text for other in code_blocks(translated)}:
                yield Finding(where, 1, f"lacks the code block at line {block.line} of {english.name}")
        if len(code_blocks(original)) != len(code_blocks(translated)):
            yield Finding(where, 1, f"has not as many code blocks as {english.name}")


CHECKS = (check_classes, check_links, check_translations)


def main() -> int:
    """Run every check over this repository."""
    from mikoshi.cli.main import build_parser

    found = [finding for check in CHECKS for finding in check(ROOT)]
    return report([*found, *check_verbs(ROOT, build_parser())])


if __name__ == "__main__":
    sys.exit(main())
