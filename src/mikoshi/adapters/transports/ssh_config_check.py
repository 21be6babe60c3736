"""Finds what an SSH configuration asks for and the built-in client would pass over in silence.

asyncssh ignores directives that it does not know. Most of them change nothing here; those below change how a host is
reached or whom it is trusted by, so they are refused by name. Never reads more than the files given and what they
include.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mikoshi.core.errors import SshConfigUnusable

_NOTHING = ("no", "none", "false")
UNSUPPORTED = {
    "proxyusefdpass": "the proxy hands over a connection",
    "knownhostscommand": "host keys come from a command",
    "revokedhostkeys": "host keys are revoked by a list",
    "pkcs11provider": "the key is on a PKCS#11 token",
    "securitykeyprovider": "the key is on a token with its own library",
    "bindinterface": "the connection is bound to a network interface",
    "hostbasedauthentication": "the client's machine is what logs in",
}
_DEPTH = 16  # of Include, as OpenSSH


@dataclass(frozen=True)
class _Line:
    file: Path
    number: int
    option: str
    words: tuple[str, ...]

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"


def refuse_unsupported(files: Sequence[Path], facts: Mapping[str, str]) -> None:
    """Raise SshConfigUnusable if a directive that is not honoured applies to the host.

    `facts`: what Match is asked about: host, originalhost, user, localuser.
    """
    for line in _applying(files, facts):
        words = " ".join(line.words)
        if line.option in UNSUPPORTED and words.lower() not in _NOTHING:
            raise SshConfigUnusable(line.place, line.option, f"{UNSUPPORTED[line.option]}: {words}")


def _applying(files: Sequence[Path], facts: Mapping[str, str]) -> Iterator[_Line]:
    for file in files:
        yield from _lines_of(file, facts, 0)


def _lines_of(file: Path, facts: Mapping[str, str], depth: int) -> Iterator[_Line]:
    applies = True
    for line in _parse(file):
        if line.option == "host":
            applies = _matches(line.words, facts["originalhost"])
        elif line.option == "match":
            applies = _match_applies(line, facts)
        elif applies and line.option == "include" and depth < _DEPTH:
            for included in _included(line.words):
                yield from _lines_of(included, facts, depth + 1)
        elif applies:
            yield line


def _parse(file: Path) -> tuple[_Line, ...]:
    try:
        found = file.stat()
        return _parsed(file, found.st_mtime_ns, found.st_size)
    except OSError as error:
        raise SshConfigUnusable(str(file), "", error.strerror or str(error)) from None


@lru_cache(maxsize=64)
def _parsed(file: Path, _changed: int, _size: int) -> tuple[_Line, ...]:
    """A file's directives; read once for all hosts while the file stays as it is."""
    lines = []
    for number, content in enumerate(file.read_text(errors="surrogateescape").splitlines(), 1):
        head = re.match(r"\s*([A-Za-z0-9]+)\s*=?\s*(.*)", content)
        if head is not None:
            try:
                words = tuple(shlex.split(head[2]))
            except ValueError:
                words = tuple(head[2].split())  # such as a ProxyCommand, which is not ours to split
            lines.append(_Line(file, number, head[1].lower(), words))
    return tuple(lines)


def _included(patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        whole = Path("~/.ssh").expanduser() / Path(pattern).expanduser()
        yield from sorted(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))))


def _match_applies(line: _Line, facts: Mapping[str, str]) -> bool:
    """Whether a Match block may apply. What cannot be told here (canonical, final, tagged …) counts as applying."""
    words = list(line.words)
    applies = True
    while words and applies:
        criterion = words.pop(0).lower()
        negated, criterion = criterion.startswith("!"), criterion.removeprefix("!")
        if criterion in ("all", "canonical", "final"):
            continue
        pattern = words.pop(0) if words else ""
        if criterion == "exec":
            # asyncssh would run it without replacing %h and the like, and block while it runs.
            raise SshConfigUnusable(line.place, "Match exec", f"a command decides what applies: {pattern}")
        if criterion in facts:
            applies = _matches(pattern.split(","), facts[criterion]) != negated
    return applies


def _matches(patterns: Sequence[str], name: str) -> bool:
    """OpenSSH's pattern lists: one that matches and no negated one that does (ssh_config(5), PATTERNS)."""
    hits = [pattern for pattern in patterns if _pattern(pattern.removeprefix("!")).fullmatch(name)]
    return bool(hits) and not any(pattern.startswith("!") for pattern in hits)


@lru_cache(maxsize=512)
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = (".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
