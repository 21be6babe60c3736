"""Secrets are found where they should be, commands run only when needed, and no value is ever shown."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikoshi.config.model import Environment
from mikoshi.config.secrets import resolve, secrets_problems
from mikoshi.config.secrets_file import parse_secrets
from mikoshi.core.errors import ConfigInvalid, SecretCommandFailed, SecretCommandTimeout, SecretsMissing

CANARY = "hunter2-canary"


def environment(root: Path, *names: str, file: str | None = None) -> Environment:
    if file is not None:
        path = root / ".mikoshi" / "secrets.production"
        path.parent.mkdir(exist_ok=True)
        path.touch(0o600)
        path.write_text(file, encoding="utf-8")
    return Environment(app="shop", name="production", style="push", root=root, secrets=names)


def test_the_environment_wins_over_the_file_and_the_file_over_a_person(tmp_path: Path) -> None:
    asked: list[str] = []

    def prompt(name: str) -> str:
        asked.append(name)
        return "said"

    wanted = environment(tmp_path, "A", "B", "C", file="A=file\nB=file\n")
    assert resolve(wanted, {"A": "own", "D": "other"}, prompt).values == {"A": "own", "B": "file", "C": "said"}
    assert asked == ["C"]


def test_an_empty_variable_is_no_value(tmp_path: Path) -> None:
    assert resolve(environment(tmp_path, "A", file="A=file"), {"A": ""}).values == {"A": "file"}


def test_what_is_missing_is_named_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SecretsMissing) as caught:
        resolve(environment(tmp_path, "A", "B"), {"A": CANARY}, lambda name: "")
    assert caught.value.names == ["B"]
    assert caught.value.looked == ["the environment variables", ".mikoshi/secrets.production (not there)"]
    assert CANARY not in str(caught.value)


def test_a_file_says_values_and_commands_in_every_form(tmp_path: Path) -> None:
    file = (
        "# a comment\r\n\r\n PLAIN = a b=c # kept \nSINGLE='a \"$(b) \\n'  # gone\n"
        'DOUBLE="a\\n\\"b\\" \\\\ #"\nASKED=$(printf "%s\\n\\n" "x y")\nQUOTED="$(echo \\"q\\")"\nEQUALS==\n'
    )
    names = ("PLAIN", "SINGLE", "DOUBLE", "ASKED", "QUOTED", "EQUALS")
    assert resolve(environment(tmp_path, *names, file=file), {}).values == {
        "PLAIN": "a b=c # kept",
        "SINGLE": 'a "$(b) \\n',
        "DOUBLE": 'a\n"b" \\ #',
        "ASKED": "x y",
        "QUOTED": "q",
        "EQUALS": "=",
    }


def test_a_wrong_line_is_named_by_number_and_its_content_is_not_shown(tmp_path: Path) -> None:
    file = f'A=1\n{CANARY}\nB-C={CANARY}\nD=\'{CANARY}\nE="{CANARY}" x\nF=$({CANARY}\nA={CANARY}\n'
    wanted = environment(tmp_path, "A", file=file)
    expected = "expected NAME=value or NAME=$(command), and quotes that are closed"
    lines = [f".mikoshi/secrets.production:{number}: {expected}" for number in range(2, 7)]
    lines.append(".mikoshi/secrets.production:7: A is there already, in line 1")
    assert secrets_problems(wanted) == lines
    with pytest.raises(ConfigInvalid) as caught:
        resolve(wanted, {})
    assert caught.value.problems == lines


def test_only_the_commands_of_needed_secrets_are_run(tmp_path: Path) -> None:
    file = "A=$(touch a; echo 1)\nB=$(touch b; echo 2)\nC=$(touch c; echo 3)\n"
    assert resolve(environment(tmp_path, "A", "B", file=file), {"B": "own"}).values == {"A": "1", "B": "own"}
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mikoshi", "a"]


@pytest.mark.parametrize(
    ("command", "status", "reason"),
    [
        (f"echo {CANARY}; echo {CANARY} >&2; exit 3", 3, ""),
        ("kill -9 $$", -9, ""),
        ("true", 0, "it printed nothing"),
        ("printf '\\377'", 0, "not UTF-8 text"),
        ("printf 'a\\0b'", 0, "not text"),
    ],
)
def test_a_command_that_fails_says_how_and_shows_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str, status: int, reason: str
) -> None:
    with pytest.raises(SecretCommandFailed) as caught:
        resolve(environment(tmp_path, "A", file=f"\nA=$({command})\n"), {})
    assert caught.value.facts() == {
        "name": "A", "where": ".mikoshi/secrets.production:2", "status": status, "reason": reason,
    }  # fmt: skip
    assert CANARY not in str(caught.value) + "".join(capfd.readouterr())
    assert caught.value.__cause__ is None


def test_a_command_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    file = "A=$(sleep 300 & echo $! > child; wait)\n"
    with pytest.raises(SecretCommandTimeout) as caught:
        resolve(environment(tmp_path, "A", file=file), {}, command_seconds=0.5)
    assert caught.value.facts() == {"name": "A", "where": ".mikoshi/secrets.production:1", "seconds": 0.5}
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while _runs(child):
        assert time.monotonic() < deadline, "what the command started still runs"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def test_a_file_that_others_can_read_is_noted(tmp_path: Path) -> None:
    wanted = environment(tmp_path, "A", file="A=1")
    assert resolve(wanted, {}).notes == ()
    (tmp_path / ".mikoshi" / "secrets.production").chmod(0o644)
    file = ".mikoshi/secrets.production"
    assert resolve(wanted, {}).notes == (f"{file} can be read by other users of this machine: chmod 600 {file}",)


def test_no_representation_holds_a_value(tmp_path: Path) -> None:
    assert CANARY not in repr(resolve(environment(tmp_path, "A", file=f"A={CANARY}"), {}))
    assert CANARY not in repr(parse_secrets(f"A={CANARY}\nB=$(echo {CANARY})\n"))


def test_a_file_that_is_not_text_is_a_problem_without_its_content(tmp_path: Path) -> None:
    wanted = environment(tmp_path, "A", file="")
    (tmp_path / ".mikoshi" / "secrets.production").write_bytes(b"A=1\nB=\xff" + CANARY.encode())
    with pytest.raises(ConfigInvalid) as caught:
        resolve(wanted, {})
    assert caught.value.problems == [".mikoshi/secrets.production:2: the file is not UTF-8 text"]
    assert caught.value.__cause__ is None


@given(st.text(alphabet="AB=$()'\"\\# \n\t\0é", max_size=30))
def test_any_text_is_entries_or_problems_on_its_own_lines(text: str) -> None:
    found = parse_secrets(text)
    said = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    assert len(found.entries) + len(found.problems) == len(said)
    assert all(1 <= line <= text.count("\n") + 1 for line, _ in found.problems)


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1))
def test_any_value_can_be_written_in_double_quotes(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    entry = parse_secrets(f'A="{quoted}"').entries["A"]
    assert entry.command or entry.value == value
