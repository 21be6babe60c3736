"""`mikoshi init`: the file passes `check`, questions are asked on a terminal only, and nothing there is overwritten."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from mikoshi.cli.main import main
from mikoshi.config.configuration import load

NODE = {"package.json": '{"scripts": {"start": "node server.js"}}', "server.js": ""}
APPLICATIONS = {
    "python": ({"wsgi.py": "application = None\n", "requirements.txt": "flask\n"}, "Python (WSGI)"),
    "perl": ({"app.psgi": "sub { }\n"}, "Perl (PSGI)"),
    "node": (NODE, "Node"),
    "static": ({"public/index.html": "<p>\n"}, "static files"),
    "procfile": ({"Procfile": "web: ./serve\nworker: ./work\n"}, "Procfile"),
    "unknown": ({"main.c": "int main(void) {}\n"}, "nothing"),
}


class Terminal(io.StringIO):
    """Somebody types these lines and then ends the input."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty application's directory; nobody is at a terminal."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    directory = tmp_path / "My Shop"
    directory.mkdir()
    return directory


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


def init(directory: Path, *words: str) -> int:
    return main(["-C", str(directory), "init", *words])


@pytest.mark.parametrize("hosts", [(), ("deploy@web1.example.com", "web2.example.com:2222")], ids=["none", "two"])
@pytest.mark.parametrize(("files", "kind"), APPLICATIONS.values(), ids=APPLICATIONS.keys())
def test_the_file_says_what_was_found_and_passes_check(
    files: dict[str, str], kind: str, hosts: tuple[str, ...], shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(shop, files)
    assert init(shop, *(word for host in hosts for word in ("--host", host))) == 0
    printed = capsys.readouterr().out
    assert f"found: {kind}" in printed
    assert "mikoshi check --hosts" in printed
    assert "mikoshi deploy" in printed
    configuration = load(shop)
    assert configuration.check() == []
    assert configuration.app == "my-shop"
    environment = configuration.environment("production")
    expected = [host.rpartition("@")[2] for host in hosts] or ["local"]
    assert [host.name for host in environment.hosts] == expected
    assert main(["-C", str(shop), "check"]) == 0


def test_the_given_hosts_are_the_hosts(shop: Path) -> None:
    assert init(shop, "--host", "deploy@web1.example.com", "--host", "local/a", "--app", "wagon") == 0
    configuration = load(shop)
    assert configuration.app == "wagon"
    assert [host.name for host in configuration.environment("production").hosts] == ["web1.example.com", "local/a"]


def test_without_hosts_the_file_shows_in_a_comment_how_they_are_written(shop: Path) -> None:
    assert init(shop) == 0
    assert '# hosts = ["deploy@' in (shop / "mikoshi.toml").read_text()


def test_secrets_are_kept_out_of_git_once_and_for_all(shop: Path) -> None:
    (shop / ".gitignore").write_bytes(b"*.log\ncaf\xe9")
    assert init(shop) == 0
    assert (shop / ".gitignore").read_bytes() == b"*.log\ncaf\xe9\n/.mikoshi/\n"
    assert init(shop, "--force") == 0
    assert (shop / ".gitignore").read_bytes() == b"*.log\ncaf\xe9\n/.mikoshi/\n"


def test_a_file_that_is_there_is_never_lost(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, old = shop / "mikoshi.toml", shop / "mikoshi.toml.old"
    file.write_text("mine")
    assert init(shop) == 2
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in shop.iterdir()] == ["mikoshi.toml"]
    assert file.read_text() == "mine"

    assert init(shop, "--force") == 0
    assert "mikoshi.toml.old" in capsys.readouterr().out
    assert old.read_text() == "mine"
    written = file.read_text()

    assert init(shop, "--force") == 2
    assert old.read_text() == "mine"
    assert file.read_text() == written


def test_a_dangling_link_in_its_place_is_not_written_through(shop: Path, tmp_path: Path) -> None:
    (shop / "mikoshi.toml").symlink_to(tmp_path / "elsewhere")
    assert init(shop) == 2
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--host", "web 1"), "expected a host"),
        (("--host", "-oProxyCommand=x"), "expected"),
        (("--host", "web1", "--host", "deploy@WEB1:22"), "one host"),
        (("--app", "My Shop"), "expected a name"),
    ],
)
def test_impossible_names_are_refused_before_anything_is_written(
    words: tuple[str, ...], complaint: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joined = [f"{words[0]}={words[1]}", *words[2:]]
    assert init(shop, *joined) == 2
    assert complaint in capsys.readouterr().err
    assert list(shop.iterdir()) == []


def test_a_directory_that_is_not_there_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(tmp_path / "nowhere") == 2
    assert "there is no directory" in capsys.readouterr().err


def test_an_application_around_it_is_mentioned(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "mikoshi.toml").write_text("")
    (shop / "part").mkdir()
    assert init(shop / "part") == 0
    assert f"note: {shop / 'mikoshi.toml'}" in capsys.readouterr().out


def test_a_terminal_is_asked_for_hosts_until_they_are_some(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(shop, NODE)
    typed = Terminal("web 1 !\ndeploy@web1.example.com, web2.example.com\n")
    monkeypatch.setattr(sys, "stdin", typed)
    assert init(shop) == 0
    assert "expected a host" in capsys.readouterr().out
    names = [host.name for host in load(shop).environment("production").hosts]
    assert names == ["web1.example.com", "web2.example.com"]
    assert typed.read() == ""


def test_a_terminal_is_asked_what_starts_an_application_that_nothing_is_known_of(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("./serve --now\nhundred\n8080\n\n"))
    assert init(shop) == 0
    environment = load(shop).environment("production")
    assert environment.processes["web"].command == "./serve --now"
    assert environment.processes["web"].listen.endswith(":8080")
    assert [host.name for host in environment.hosts] == ["local"]


def test_the_end_of_the_input_answers_every_question(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    assert init(shop) == 0
    assert load(shop).check() == []


def test_nothing_is_asked_in_ci(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = Terminal("deploy@web1.example.com\n")
    monkeypatch.setattr(sys, "stdin", typed)
    monkeypatch.setenv("CI", "true")
    assert init(shop) == 0
    assert typed.read() != ""
    assert [host.name for host in load(shop).environment("production").hosts] == ["local"]
