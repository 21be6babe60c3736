"""What is said before the engine speaks."""

from __future__ import annotations

import itertools
import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikoshi.adapters.transports.bootstrap import NOISE_LIMIT, SCRIPT, Greeting, command_line, shell_command
from mikoshi.core.errors import ConnectionLost, PathUnusable, ProtocolMismatch, PythonMissing
from tests.contract.stand_in import stand_in

ENGINE = stand_in()


def line(words: str) -> bytes:
    return f"\nMIKOSHI {ENGINE.digest} {words}\n".encode()


@pytest.mark.parametrize("character", ["'", "\\", "!", "\n"])
def test_the_script_holds_nothing_that_login_shells_read_differently(character: str) -> None:
    assert character not in SCRIPT


def test_the_command_line_is_small() -> None:
    assert len(command_line(ENGINE)) < 2048


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_shell_command_holds_nothing_that_login_shells_read_differently(command: str) -> None:
    quoted = shell_command(command).split("sh '", 1)[1]
    assert quoted.endswith("'")
    assert not set(quoted[:-1]) & set("'!\n$`\"*?~#")


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60))
def test_a_shell_command_arrives_as_it_was(text: str) -> None:
    quoted = "'" + text.replace("'", "'\\''") + "'"
    command = shell_command(f"printf %s {quoted}")
    assert subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=True).stdout == text.encode()


@given(st.binary(max_size=200), st.binary(max_size=50), st.lists(st.integers(0, 400), max_size=6))
def test_noise_before_and_frames_after_are_told_apart(noise: bytes, frames: bytes, cuts: list[int]) -> None:
    data = noise + line("NEED") + b"more noise" + line("HAVE") + frames
    greeting = Greeting(ENGINE)
    edges = sorted({0, *(min(cut, len(data)) for cut in cuts), len(data)})
    rest = b""
    heard = False
    for start, end in itertools.pairwise(edges):
        if heard:
            rest += data[start:end]
        elif greeting.feed(data[start:end]):
            heard, rest = True, greeting.rest
    assert heard
    assert greeting.wants_engine
    assert rest == frames


def test_another_engines_lines_are_noise() -> None:
    assert not Greeting(ENGINE).feed(line("HAVE").replace(ENGINE.digest.encode(), b"0" * 64))


def test_noise_is_limited() -> None:
    greeting = Greeting(ENGINE)
    with pytest.raises(ProtocolMismatch):
        greeting.feed(b"x" * (2 * NOISE_LIMIT + 1))
    with pytest.raises(ProtocolMismatch):
        Greeting(ENGINE).feed(b"x\n" * NOISE_LIMIT)


def test_failures_are_typed() -> None:
    with pytest.raises(PythonMissing) as python:
        Greeting(ENGINE).feed(line("NOPYTHON 3.6.8"))
    assert python.value.found == "3.6.8"
    with pytest.raises(PathUnusable) as path:
        Greeting(ENGINE).feed(line("UNUSABLE " + json.dumps(["/x y", "No space left on device"])))
    assert (path.value.path, path.value.reason) == ("/x y", "No space left on device")
    with pytest.raises(ConnectionLost):
        Greeting(ENGINE).feed(line("DAMAGED"))
    with pytest.raises(ProtocolMismatch):
        Greeting(ENGINE).feed(line("WHAT"))
