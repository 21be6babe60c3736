"""An env file gives back what was put in, to this engine, to `sh`, and to a parser with systemd's rules."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mikoshi.core.errors import ProtocolMismatch
from mikoshi.node import envfile

names = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z").filter(lambda name: not name.startswith("_"))
values = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
TRAPS = "a\"b\\c$d`e\n\nf\\\n'g'  #h\t!i\r\\\"\\$"


def read_as_systemd_does(text: str) -> dict[str, str]:
    """Double-quoted values of an EnvironmentFile: a backslash escapes only one of \" \\ $ ` and joins lines."""
    found, at = {}, 0
    while at < len(text):
        equals = text.index("=", at)
        name, at, value = text[at:equals], equals + 2, ""
        while text[at] != '"':
            if text[at] == "\\":
                at += 1
                value += "" if text[at] == "\n" else text[at] if text[at] in '"\\$`' else "\\" + text[at]
            else:
                value += text[at]
            at += 1
        found[name] = value
        assert text[at : at + 2] == '"\n'
        at += 2
    return found


@given(st.dictionaries(names, values))
@example({"TRAPS": TRAPS})
def test_what_was_written_is_read_back(given_values: dict[str, str]) -> None:
    data = envfile.encode(given_values)
    assert envfile.decode(data) == given_values
    assert read_as_systemd_does(data.decode()) == given_values


@settings(max_examples=40)
@given(value=values)
@example(value=TRAPS)
def test_the_shell_reads_the_same(tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
    path: Path = tmp_path_factory.mktemp("env") / "env"
    path.write_bytes(envfile.encode({"WANTED": value, "AFTER": "1"}))
    script = f'. {path} && printf "%s|%s" "$WANTED" "$AFTER"'
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, env={}, check=True, timeout=20)
    assert done.stdout == value.encode() + b"|1"
    assert done.stderr == b""


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "A\n", "É"])
def test_names_that_no_shell_has_are_refused(name: str) -> None:
    with pytest.raises(ProtocolMismatch):
        envfile.encode({name: "x"})


def test_a_nul_is_refused() -> None:
    with pytest.raises(ProtocolMismatch):
        envfile.encode({"A": "x\0y"})


@pytest.mark.parametrize("data", [b"A=b\n", b'A="b', b'A="b"', b'A="$b"\n', b'export A="b"\n', b'A="b" \n'])
def test_a_file_that_was_tampered_with_is_not_guessed_at(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a line"):
        envfile.decode(data)
