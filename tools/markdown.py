"""The little of Markdown that the documentation checks read: headings, fenced code and inline links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*$")
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)<>\s]+)>?[^)]*\)")
CODE_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")


@dataclass(frozen=True)
class Heading:
    """A heading: its level, 1 to 6, and its text as written."""

    level: int
    text: str


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block: the line of its opening fence (from 1), and what is between the fences."""

    line: int
    text: str


def scan(text: str) -> tuple[list[tuple[int, str]], list[CodeBlock]]:
    """Part a page into its numbered lines of prose and its fenced blocks. An open fence runs to the end."""
    prose: list[tuple[int, str]] = []
    blocks: list[CodeBlock] = []
    fence, start, inside = "", 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        match = FENCE.match(line)
        if fence and match and match[1].startswith(fence) and not match[2].strip():
            blocks.append(CodeBlock(start, "\n".join(inside)))
            fence = ""
        elif fence:
            inside.append(line)
        elif match:
            fence, start, inside = match[1], number, []
        else:
            prose.append((number, line))
    if fence:
        blocks.append(CodeBlock(start, "\n".join(inside)))
    return prose, blocks


def code_blocks(text: str) -> list[CodeBlock]:
    """The fenced blocks of a page, in order."""
    return scan(text)[1]


def headings(text: str) -> list[Heading]:
    """The headings of a page, in order; those inside code are none."""
    return [Heading(len(m[1]), m[2]) for _, line in scan(text)[0] if (m := HEADING.match(line))]


def sections(text: str) -> dict[str, str]:
    """The text below each heading, code and deeper sections included; headings without backticks."""
    lines, blocks = text.splitlines(), scan(text)[1]
    inside = {n for block in blocks for n in range(block.line, block.line + block.text.count("\n") + 2)}
    found: dict[str, list[str]] = {}
    open_sections: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        match = None if number in inside else HEADING.match(line)
        if match:
            open_sections = [entry for entry in open_sections if entry[0] < len(match[1])]
            open_sections.append((len(match[1]), match[2].replace("`", "")))
        for _, name in open_sections:
            found.setdefault(name, []).append(line)
    return {name: "\n".join(body) for name, body in found.items()}


def links(text: str) -> Iterator[tuple[int, str]]:
    """Each inline link or image as (line, target); those inside code are none."""
    for number, line in scan(text)[0]:
        for match in LINK.finditer(CODE_SPAN.sub("", line)):
            yield number, match[1]


def anchors(text: str) -> set[str]:
    """The fragments by which a page's headings are linked, as GitHub forms them, repeated ones numbered."""
    found: set[str] = set()
    for heading in headings(text):
        slug = re.sub(r"[^\w\- ]", "", heading.text.lower()).replace(" ", "-")
        count = 0
        while (name := f"{slug}-{count}" if count else slug) in found:
            count += 1
        found.add(name)
    return found
