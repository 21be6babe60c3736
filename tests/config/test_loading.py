"""Finding and loading mikoshi.toml: from anywhere below it, quickly, and never with a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mikoshi.config import load
from mikoshi.config.reference import docs
from mikoshi.core.errors import ConfigInvalid, ConfigMissing
from tests.config.reading import configuration, problems_of

GOOD = 'app = "shop"\n[env.production]\nhosts = ["local"]\n'
# One key each, and what is said of it; all can be wrong in one file.
BROKEN = {
    "app": ("app = 5", "app: expected a name"),
    "release": ('release.build_on = "moon"', "release.build_on: expected "),
    "process": ("process.web.listen = 0", "process.web.listen: expected "),
    "health": ('process.web.health.within = "1"', "process.web.health.within: expected "),
    "style": ('defaults.style = "post"', "defaults.style: expected "),
    "later": ('defaults.assets = ["x"]', "defaults.assets: not supported yet"),
    "unknown": ("defaults.kep = 5", 'defaults.kep: unknown key; did you mean "keep"?'),
    "vars": ("defaults.vars.A = 1", "defaults.vars.A: expected a string"),
    "secrets": ('defaults.secrets = "A"', "defaults.secrets: expected a list of names"),
    "shared": ('defaults.shared = ["/"]', "defaults.shared[0]: expected a path"),
    "hook": ('defaults.hooks.after_activate.within = "1s"', "defaults.hooks.after_activate.run: missing"),
    "anchor": ('env.production.anchor = "web9"', 'env.production.anchor: "web9" is not one of the hosts'),
    "rollout": ("env.production.rollout.first = 0", "env.production.rollout.first: expected "),
    "ssh": ("env.production.ssh.connections = 0", "env.production.ssh.connections: expected "),
    "hosts": ("env.staging.hosts = []", "env.staging.hosts: expected at least one host"),
}


@given(st.permutations(sorted(BROKEN)).flatmap(lambda names: st.integers(1, len(names)).map(lambda n: names[:n])))
def test_any_set_of_wrong_keys_is_reported_whole_and_nothing_else(names: list[str]) -> None:
    good = ['app = "shop"'] if "app" not in names else []
    good += ['env.production.hosts = ["local"]']
    lines = [*good, *(BROKEN[name][0] for name in names)]
    found = problems_of("\n".join(lines))
    expected = [f"mikoshi.toml:{lines.index(BROKEN[name][0]) + 1}: {BROKEN[name][1]}" for name in names]
    if "style" in names and "hosts" in names:
        # Nobody knows whether an environment needs hosts whose style is not known.
        expected.pop(names.index("hosts"))
        names = [name for name in names if name != "hosts"]
    assert len(found) == len(expected)
    # The two kinds of problem that need everything merged stand at the line of their table.
    for name, start in zip(names, expected, strict=True):
        text = start.split(": ", 1)[1]
        assert any(one.split(": ", 1)[1].startswith(text) for one in found), (name, found)
        if name not in ("anchor", "hook", "hosts"):
            assert any(one.startswith(start) for one in found), (name, found)


@settings(max_examples=60)
@given(st.data())
def test_a_damaged_file_is_a_list_of_problems_or_a_configuration(data: st.DataObject) -> None:
    text = bytearray(docs().encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 20))] = data.draw(
            st.sampled_from([b"", b"1", b"[", b"]]", b'"', b"\n", b"= {}"])
        )
    for problem in problems_of(bytes(text)):
        assert problem.startswith("mikoshi.toml:")
        assert problem.isprintable()


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 3000 + "]" * 3000, "a = 1979-02-31", "a = " + "1" * 5000, "\0", "a = '\ud800'"]
)
def test_what_the_parser_chokes_on_is_one_problem(text: str) -> None:
    assert len(problems_of(text.encode(errors="surrogatepass"))) == 1


def test_it_is_found_from_any_directory_below(tmp_path: Path) -> None:
    (tmp_path / "mikoshi.toml").write_text(GOOD)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    found = load(below)
    assert (found.app, found.root, found.environments) == ("shop", tmp_path, ("production",))
    assert found.show("production")[0].origin == "../../mikoshi.toml:1"


def test_without_a_file_the_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigMissing) as caught:
        load(tmp_path)
    assert caught.value.directory == str(tmp_path)


def test_windows_lines_and_a_byte_order_mark_change_nothing() -> None:
    text = "\ufeff" + GOOD.replace("\n", "\r\n")
    assert configuration(text).environment("production") == configuration(GOOD).environment("production")
    assert problems_of(text + "x = 1\r\n") == ["mikoshi.toml:4: env.production.x: unknown key"]


def test_files_that_the_configuration_names_are_checked(tmp_path: Path) -> None:
    (tmp_path / "mikoshi.toml").write_text(
        f'{GOOD}secrets_from = "hidden"\nssh.config = "deploy/ssh_config"\n[env.staging]\nhosts = ["local"]\n'
    )
    (tmp_path / ".mikoshi").mkdir()
    (tmp_path / ".mikoshi" / "secrets.staging").write_text("oops\n")
    assert load(tmp_path).check() == [
        f'mikoshi.toml:4: env.production.secrets_from: there is no file "{tmp_path}/hidden"',
        f'mikoshi.toml:5: env.production.ssh.config: there is no file "{tmp_path}/deploy/ssh_config"',
        ".mikoshi/secrets.staging:1: expected NAME=value or NAME=$(command), and quotes that are closed",
    ]
    (tmp_path / "mikoshi.toml").write_text(GOOD)
    assert load(tmp_path).check() == []


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mikoshi.toml").write_text(GOOD)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path)
    assert caught.value.problems == ["mikoshi.toml: cannot be read: Permission denied"]


def test_reading_a_configuration_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "mikoshi.toml").write_text(docs())
    code = (
        "import sys, pathlib, mikoshi.config as config\n"
        "config.load(pathlib.Path(sys.argv[1])).environment('production')\n"
        "heavy = {'asyncio', 'rich', 'tomlkit', 'asyncssh', 'subprocess', 'difflib', 'logging'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_two_environments_cannot_have_one_port_on_one_host() -> None:
    text = """app = "shop"
[process.web]
listen = 8080
[env.production]
hosts = ["web1", "me@web2"]
[env.staging]
hosts = ["WEB2"]
"""
    (problem,) = problems_of(text)
    assert problem.startswith(
        "mikoshi.toml:6: env.staging.process: port 8080 on WEB2 is taken by env.production (line 3)"
    )
    assert problems_of(text + "process.web.listen = 8081\n") == []
