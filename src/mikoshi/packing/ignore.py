"""Ignore rules: which paths a list of gitignore patterns names.

The patterns' meaning is the `pathspec` library's; here is what git adds to it while it walks: a rule decides about a
path itself and never about what lies below it, since an ignored directory is not entered at all. Never reads a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pathspec import GitIgnoreSpec

_DIRECTORY_MARK = "ps_d"


@dataclass(frozen=True)
class _Pattern:
    regex: re.Pattern[str]
    ignores: bool
    below: bool  # matches only what is below a directory or a directory itself: it has the library's mark
    anchored: bool

    def names(self, path: str, is_directory: bool) -> bool:
        """Whether the pattern names `path` itself; the library also matches everything below what it names."""
        match = self.regex.search(path)
        if match is not None and not (self.below and match[_DIRECTORY_MARK]):
            return True
        if not (is_directory and self.below):
            return False
        match = self.regex.search(path + "/")
        if match is None or not match[_DIRECTORY_MARK]:
            return False
        return not self.anchored or match.end(_DIRECTORY_MARK) == len(path) + 1


@dataclass(frozen=True)
class Rules:
    """The patterns of one ignore file.

    `base` ("" or "dir/") is where the file stands below the walked directory; `above` is the way from a file that
    stands above the walked directory down to it.
    """

    base: str
    above: str
    patterns: tuple[_Pattern, ...]
    any_of_them: re.Pattern[str]

    def verdict(self, path: str, is_directory: bool) -> bool | None:
        """Whether `path` (below `base`) is ignored; None if no pattern names it. The last one that does decides."""
        relative = self.above + path[len(self.base) :]
        if not self.any_of_them.search(relative + "/" if is_directory else relative):
            return None
        for pattern in reversed(self.patterns):
            if pattern.names(relative, is_directory):
                return pattern.ignores
        return None


def rules(lines: Iterable[str], base: str = "", above: str = "") -> Rules | None:
    """The rules in `lines`, or None if they hold no pattern. Lines that git would never match are left out."""
    patterns = tuple(pattern for line in lines for pattern in _compile(line))
    if not patterns:
        return None
    sources = (pattern.regex.pattern.replace(f"?P<{_DIRECTORY_MARK}>", "?:") for pattern in patterns)
    return Rules(base, above, patterns, re.compile("|".join(f"(?:{source})" for source in sources), re.DOTALL))


def lines_of(content: bytes) -> list[str]:
    """The lines of an ignore file as git reads them: split at newlines alone, without byte order mark and CR."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    return [line.removesuffix("\r") for line in text.split("\n")]


def _compile(line: str) -> list[_Pattern]:
    try:
        parsed = GitIgnoreSpec.from_lines([_only_below(line)]).patterns
    except (ValueError, re.error):  # not a pattern for git either: it names nothing
        return []
    found = []
    for pattern in parsed:
        if pattern.include is None or pattern.regex is None:
            continue
        source = pattern.regex.pattern
        if source.endswith("|$)"):  # "$" would also match before a name's own last newline
            source = source.removesuffix("$)") + r"\Z)"
        regex = re.compile(source, re.DOTALL)  # a name may hold a newline, which "." has to match too
        below = _DIRECTORY_MARK in regex.groupindex
        found.append(_Pattern(regex, pattern.include, below, source.startswith("^")))
    return found


def _only_below(line: str) -> str:
    """For git `dir/**/` names the directories below dir, for the library dir too: say it so that both agree."""
    segments = line.split("/")
    if segments[-2:] != ["**", ""] or all(segment.lstrip("!") in ("", "**") for segment in segments):
        return line
    return line + "*/"


def ignored(layers: Iterable[Rules], path: str, is_directory: bool) -> bool:
    """Whether `path` is ignored: the first of `layers` with a verdict decides (the strongest comes first)."""
    for layer in layers:
        verdict = layer.verdict(path, is_directory)
        if verdict is not None:
            return verdict
    return False
