"""The first mikoshi.toml: right for what the directory holds, and always valid."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikoshi.config.model import BuildStep
from mikoshi.config.starting import Listing, app_name, detect, directory_listing, first_file, with_ignored
from mikoshi.config.values.text import name
from tests.config.reading import configuration

PIP = "python3 -m pip install --target .deps"
DJANGO = {"manage.py": "os.environ['DJANGO_SETTINGS_MODULE']", "shop/wsgi.py": "", "shop/urls.py": ""}
FLASK = {"app.py": "from flask import Flask\nserver = Flask(__name__)\n", "requirements.txt": "flask"}
FASTAPI = {"main.py": "import fastapi\napp: object = fastapi.FastAPI()\n", "pyproject.toml": "[project]\n"}
WSGI = {"wsgi.py": "def application(environ, start): ..."}
PSGI = {"app.psgi": "sub {}", "cpanfile": "", "lib/Shop.pm": "", "t/a.t": ""}
NODE = {"package.json": '{"scripts": {"start": "node ."}, "dependencies": {"x": "1"}}', "package-lock.json": "{}"}
STATIC = {"public/index.html": "", "style.css": ""}
PROCFILE = {"Procfile": "# x\nweb: serve --port $PORT\nMail_Queue: work\nrelease: migrate\n"}
APPLICATIONS = [DJANGO, FLASK, FASTAPI, WSGI, PSGI, NODE, STATIC, PROCFILE, {}, {"README": ""}]


def listing(files: dict[str, str]) -> Listing:
    return Listing(frozenset(files), lambda name: files.get(name, ""))


@pytest.mark.parametrize(
    ("files", "kind", "because", "processes", "build"),
    [
        (DJANGO, "Django", "manage.py", {"web": "python3 -m gunicorn --bind fd://{fd} shop.wsgi:application"}, ""),
        (
            FLASK,
            "Python (WSGI)",
            "app.py",
            {"web": "python3 -m gunicorn --bind fd://{fd} app:server"},
            f"{PIP} -r requirements.txt",
        ),
        (
            FASTAPI,
            "Python (ASGI)",
            "main.py",
            {"web": "python3 -m mikoshi.drain uvicorn main:app"},
            f"{PIP} .",
        ),
        (
            WSGI,
            "Python (WSGI)",
            "wsgi.py",
            {"web": "python3 -m gunicorn --bind fd://{fd} wsgi:application"},
            "",
        ),
        (
            PSGI,
            "Perl (PSGI)",
            "app.psgi",
            {"web": "plackup -s Starlet --env production app.psgi"},
            "cpanm --notest --local-lib-contained local --installdeps .",
        ),
        (NODE, "Node", "package.json", {"web": "node --require $MIKOSHI_DRAIN/node.js ."}, "npm ci --omit=dev"),
        (STATIC, "static files", "public/index.html", {}, ""),
        (PROCFILE, "Procfile", "Procfile", {"web": "serve --port $PORT", "mail-queue": "work"}, ""),
        ({"README": ""}, "", "", {}, ""),
    ],
)
def test_an_application_is_recognized_by_its_files(
    files: dict[str, str], kind: str, because: str, processes: dict[str, str], build: str
) -> None:
    found = detect(listing(files))
    assert (found.kind, found.because, found.processes) == (kind, because, processes)
    assert [step.run for step in found.build] == ([build] if build else [])


def test_a_procfile_says_what_runs_and_the_language_how_it_is_built() -> None:
    found = detect(listing({**PROCFILE, **NODE}))
    assert found.kind == "Node, with a Procfile"
    assert set(found.processes) == {"web", "mail-queue"}
    assert found.build == (BuildStep("npm ci --omit=dev", ("package.json", "package-lock.json"), ("node_modules/",)),)
    assert found.notes == ("the Procfile's release command is not taken over: migrate",)


def test_a_start_script_that_is_no_node_stays_as_it_is() -> None:
    found = detect(listing({"package.json": '{"scripts": {"start": "next start -p 3000"}}'}))
    assert found.processes == {"web": "next start -p 3000"}


@pytest.mark.parametrize("text", ["", "[", "[]", "null", '{"scripts": 1}', '{"scripts": {"start": 2}}', "[" * 100_000])
def test_a_package_json_that_says_nothing_is_passed_over(text: str) -> None:
    assert detect(listing({"package.json": text})).kind == ""


@pytest.mark.parametrize("files", APPLICATIONS)
@pytest.mark.parametrize("hosts", [(), ("deploy@web1.example.com", "[::1]:22")])
def test_every_first_file_is_valid_and_says_what_was_found(files: dict[str, str], hosts: tuple[str, ...]) -> None:
    found = detect(listing(files))
    written = configuration(first_file("shop", found, hosts)).environment("production")
    assert [host.address.host for host in written.hosts] == (["web1.example.com", "::1"] if hosts else [""])
    assert {name: process.command for name, process in written.processes.items()} == found.processes
    assert written.release.build == found.build
    assert written.vars == found.vars
    assert written.restart is None
    assert ("replaces" in first_file("shop", found, hosts)) == bool(found.processes)
    assert [process.listen for process in written.processes.values() if process.listen] == (
        [f"127.0.0.1:{found.listen}"] if found.listen else []
    )


@pytest.mark.parametrize("files", APPLICATIONS)
def test_the_examples_in_comments_are_right_too(files: dict[str, str]) -> None:
    text = first_file("shop", detect(listing(files)))
    lines = [line.removeprefix("# ") for line in text.replace('hosts = ["local"]', "").splitlines()]
    kept = [line for line in lines if line.startswith("[") or tomllib_takes(line)]
    assert configuration("\n".join(kept)).environment("production").secrets == ("SECRET_KEY",)


def tomllib_takes(line: str) -> bool:
    try:
        return bool(tomllib.loads(line))
    except tomllib.TOMLDecodeError:
        return False


@given(st.text())
def test_any_directory_name_gives_a_name(directory: str) -> None:
    assert name(app_name(directory))


@given(st.text())
def test_any_procfile_gives_a_valid_file(procfile: str) -> None:
    found = detect(listing({"Procfile": procfile}))
    assert configuration(first_file("shop", found)).app == "shop"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "/.mikoshi/\n"),
        ("*.pyc", "*.pyc\n/.mikoshi/\n"),
        ("*.pyc\n", "*.pyc\n/.mikoshi/\n"),
        (".mikoshi/secrets.*\n", ".mikoshi/secrets.*\n/.mikoshi/\n"),
        ("a\n .mikoshi/ \n", "a\n .mikoshi/ \n"),
    ],
)
def test_local_state_is_ignored_by_git_once(before: str, after: str) -> None:
    assert with_ignored(before) == after
    assert with_ignored(after) == after


def test_a_directory_is_listed_two_levels_deep_without_dependencies(tmp_path: Path) -> None:
    for path in ("app.py", "shop/wsgi.py", "shop/deep/x.py", "node_modules/x/y.js", ".git/config"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"\xff" if path == "app.py" else b"text")
    found = directory_listing(tmp_path)
    assert found.names == {"app.py", "shop/wsgi.py"}
    assert (found.read("shop/wsgi.py"), found.read("app.py"), found.read("missing")) == ("text", "", "")
