"""Where each key of a TOML text stands: key path → line.

`tomllib` gives values without places. This scan gives the places, for text that `tomllib` has accepted: it relies on
that and checks nothing itself. It must never decide what a value is.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left

# A key of a table or an index of a list, from the top of the document down.
KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


def positions(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every table, key and list item of `text`, which must be valid TOML."""
    return _Scan(text).document()


class _Scan:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.ends = [index for index, character in enumerate(text) if character == "\n"]
        self.lines: dict[KeyPath, int] = {}
        self.tables: dict[KeyPath, int] = {}

    def document(self) -> dict[KeyPath, int]:
        base: KeyPath = ()
        while self.skip(_BLANK) < len(self.text):
            base = self.header() if self.text[self.at] == "[" else self.pair(base)
        return self.lines

    def header(self) -> KeyPath:
        """`[a.b]` or `[[a.b]]`: the path that the keys below it stand under."""
        line, start = self.line(), self.at
        several = self.text.startswith("[[", start)
        self.at += 2 if several else 1
        keys = self.key()
        self.at += 2 if several else 1
        path: KeyPath = ()
        for number, name in enumerate(keys, 1):
            path = (*path, name)
            if several and number == len(keys):
                self.tables[path] = self.tables.get(path, 0) + 1
            self.lines.setdefault(path, line)
            if path in self.tables:
                path = (*path, self.tables[path] - 1)
                self.lines.setdefault(path, line)
        # A table that its subtables brought up before its own header has its place at the header.
        self.lines[path] = line
        return path

    def pair(self, base: KeyPath) -> KeyPath:
        """`key = value` below `base`; gives `base` back."""
        line, path = self.line(), base
        for name in self.key():
            path = (*path, name)
            self.lines.setdefault(path, line)
        self.at += 1
        self.skip(_SPACE)
        self.value(path)
        return base

    def key(self) -> list[str]:
        """A dotted key, up to what ends it (`=` or `]`)."""
        names: list[str] = []
        while True:
            self.skip(_SPACE)
            if bare := _BARE.match(self.text, self.at):
                names.append(bare.group())
                self.at = bare.end()
            else:
                start = self.at
                self.skip(_QUOTED)
                names.append(next(iter(tomllib.loads(f"{self.text[start : self.at]} = 0"))))
            self.skip(_SPACE)
            if self.text[self.at] != ".":
                return names
            self.at += 1

    def value(self, path: KeyPath) -> None:
        opening = self.text[self.at]
        if opening == "[":
            self.items(path)
        elif opening == "{":
            self.inline_table(path)
        elif opening in "\"'":
            self.skip(_STRING)
        else:
            self.skip(_SCALAR)

    def items(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        while self.another("]"):
            self.lines[(*path, index)] = self.line()
            self.value((*path, index))
            index += 1

    def inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while self.another("}"):
            self.pair(path)

    def another(self, closing: str) -> bool:
        """Go past blanks and a comma to the next part; False, past `closing`, if there is none."""
        self.skip(_BLANK)
        if self.text[self.at] == ",":
            self.at += 1
            self.skip(_BLANK)
        if self.text[self.at] != closing:
            return True
        self.at += 1
        return False

    def skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def line(self) -> int:
        return bisect_left(self.ends, self.at) + 1
