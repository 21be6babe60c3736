"""`mikoshi logs` as people run it, and a line as it is shown."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from tests.kept import Kept, kept

from mikoshi.cli.loglines import harmless, moment, plain
from mikoshi.engine.loglines import Line

LINE = Line("web1", 1795539277.335, "web", 1, 2, False, "some text")


def test_logs_of_all_hosts_are_shown_and_followed_through_a_deploy(tmp_path: Path) -> None:
    with kept(tmp_path) as made:
        assert made.bench.run("logs").out == ""
        made.deploy()
        lines = made.bench.run("logs").out.splitlines()
        assert {line.split()[0] for line in lines} == set(made.nodes)
        assert any(line.endswith(" web.1@1 begins web.1") for line in lines)
        last = json.loads(made.bench.run("logs", "web", "--json", "-n", "1", "--only", "local/a").out)
        assert (last["node"], last["process"], last["deployment"], last["trial"]) == ("local/a", "web", 1, False)
        _follow(made)
        _errors(made)


def _follow(made: Kept) -> None:
    with made.bench.start("logs", "-f", "-n", "1") as following:
        assert following.stdout is not None
        assert following.stdout.readline()
        made.deploy("more")
        seen = [following.stdout.readline() for _ in range(4)]
        following.send_signal(signal.SIGINT)
        rest, err = following.communicate(timeout=30)
    assert following.returncode == 0, err
    assert len({line.split()[0] for line in seen if "@2" in line}) == 2
    assert rest == ""


def _errors(made: Kept) -> None:
    assert "did you mean 'web'?" in made.bench.run("logs", "production", "wbe", code=2).err
    assert "no environment 'wbe'" in made.bench.run("logs", "wbe", code=2).err
    file = made.bench.app / "mikoshi.toml"
    text = file.read_text()
    file.write_text(text.replace("hosts = [", 'hosts = [{ ssh = "127.0.0.1:1" }, ') + 'anchor = "local/a"\n')
    ran = made.bench.run("logs", code=4)
    assert "127.0.0.1:1: no connection" in ran.err
    assert "local/a" in ran.out
    assert made.bench.run("logs", "--only", "127.0.0.1:1", code=4).out == ""


def test_in_a_file_the_time_is_the_node_s_own() -> None:
    assert plain(LINE, 6) == "web1   2026-11-24T16:54:37.335Z web.1@2 some text"


def test_on_a_terminal_the_time_is_local_with_a_date_if_it_is_not_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert moment(LINE.at, LINE.at + 60) == "01:54:37.335"
        assert moment(LINE.at, LINE.at + 86400) == "2026-11-25 01:54:37.335"
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def test_a_line_cannot_play_with_the_terminal() -> None:
    assert harmless("a\x1b[2J\x1b]0;title\x07b\rc\td") == "a[2J]0;titlebc\td"
    assert harmless("\x1b[31mred") == "\x1b[31mred\x1b[0m"
