"""`mikoshi top` on a pseudo terminal: what it shows, and that the terminal is as before however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.kept import Kept, kept

from mikoshi.cli.watching.keys import keys_at_once

_MODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Terminal:
    """A terminal of 12 lines in which `top` runs. `seen` is all that came, `page` what came since it was last asked."""

    process: subprocess.Popen[bytes]
    own: int
    other: int
    before: list[object]
    seen: str = ""
    at: int = 0

    def until(self, wanted: Callable[[str], object], seconds: float = 40.0) -> str:
        """Read until what came since the last time is as wanted; it, without colours."""
        deadline = time.monotonic() + seconds
        while not wanted(text := _MODES.sub("", self.seen[self.at :])):
            assert time.monotonic() < deadline, self.seen[-4000:]
            self._read()
        self.at = len(self.seen)
        return text

    def _read(self) -> None:
        if select.select([self.own], [], [], 1.0)[0]:
            self.seen += os.read(self.own, 65536).decode("utf-8", "replace")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.own, keys.encode())

    def end(self) -> int:
        """Wait for the end, reading what still comes; the exit code."""
        deadline = time.monotonic() + 40
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self._read()
        while select.select([self.own], [], [], 0)[0]:
            self._read()
        return self.process.wait()

    def is_as_before(self) -> bool:
        """Whether the terminal has its modes again, its cursor, and the screen that it had."""
        *_, last_screen = re.findall(r"\x1b\[\?1049([hl])", self.seen)
        *_, last_cursor = re.findall(r"\x1b\[\?25([hl])", self.seen)
        return (last_screen, last_cursor) == ("l", "h") and termios.tcgetattr(self.other) == self.before


@contextlib.contextmanager
def top(made: Kept, *options: str) -> Iterator[Terminal]:
    own, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 80, 0, 0))
    before = termios.tcgetattr(other)
    environment = {name: value for name, value in made.bench.environment().items() if name != "CI"}
    process = subprocess.Popen(
        [*made.bench.program, "-C", str(made.bench.app), "top", "-d", "0.2", *options],
        env={**environment, "TERM": "xterm-256color"}, stdin=other, stdout=other, stderr=other,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - for Ctrl-C
    )  # fmt: skip
    terminal = Terminal(process, own, other, before)
    try:
        yield terminal
    finally:
        process.kill()
        process.wait()
        for descriptor in (own, other):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Kept]:
    with kept(tmp_path, 1) as made:
        made.deploy("crash-on-demand")
        yield made


def test_a_deploy_can_be_watched_as_generations_change(tmp_path: Path) -> None:
    with kept(tmp_path, 2) as made:
        made.configure(process="instances = 2")
        made.deploy("ignore")  # the old generation stays until its time is over
        with top(made) as terminal:
            terminal.until(lambda page: all(f"local/{node}  web.{n}" in page for node in "ab" for n in (1, 2)))
            made.program("another")
            with made.bench.start("deploy") as deploying:
                terminal.until(lambda page: re.search(r"web\.1 +1 .* (leaving|stopping)", page))
                terminal.until(lambda page: re.search(r"web\.1 +2 .* running", page))
                deploying.communicate(timeout=60)
            terminal.until(lambda page: len(set(re.findall(r"local/(.) +web\.([12]) +2 ", page))) == 4)
            terminal.press("m")
            terminal.until(lambda page: "MEMORY▼" in page)
            terminal.press("q")
            assert terminal.end() == 0
            assert terminal.is_as_before()


def test_an_engine_that_is_killed_is_replaced_without_a_word(one: Kept) -> None:
    with top(one) as terminal:
        terminal.until(lambda page: "web.1" in page)
        (engine,) = _children(terminal.process.pid)
        os.kill(engine, signal.SIGKILL)
        terminal.until(lambda _page: _children(terminal.process.pid) not in ([], [engine]))
        terminal.until(lambda page: page.count("web.1") > 3)


@pytest.mark.parametrize("how", ["q", "ctrl-c", "term", "hup"])
def test_the_terminal_is_as_before_however_it_ends(one: Kept, how: str) -> None:
    with top(one) as terminal:
        terminal.until(lambda page: "web.1" in page)
        assert termios.tcgetattr(terminal.other) != terminal.before
        if how in ("q", "ctrl-c"):
            terminal.press({"q": "q", "ctrl-c": "\x03"}[how])
        else:
            terminal.process.send_signal({"term": signal.SIGTERM, "hup": signal.SIGHUP}[how])
        assert terminal.end() == 0
        assert terminal.is_as_before()


def test_a_terminal_that_is_closed_ends_it_without_a_crash(one: Kept) -> None:
    with top(one) as terminal:
        terminal.until(lambda page: "web.1" in page)
        os.close(terminal.own)
        os.close(terminal.other)
        terminal.process.wait(40)
    assert not list(one.bench.root.rglob("crash-*"))


def test_a_failure_inside_gives_the_terminal_its_modes_back() -> None:
    own, other = pty.openpty()
    before = termios.tcgetattr(other)

    def fail() -> None:
        with keys_at_once(other):
            assert termios.tcgetattr(other) != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert termios.tcgetattr(other) == before
    os.close(own)
    os.close(other)


def test_without_a_terminal_it_is_one_table(one: Kept) -> None:
    lines = one.bench.run("top", "-d", "0.2").out.splitlines()
    assert lines[0].split()[:3] == ["NODE", "PROCESS", "RUNS"]
    assert lines[1].split()[:3] == ["local/a", "web.1", "1"]
    assert len(lines) == 2
    (node,) = json.loads(one.bench.run("top", "-d", "0.2", "--json").out)
    assert node["processes"][0]["cpu_percent"] is not None
    file = one.bench.app / "mikoshi.toml"
    file.write_text(
        file.read_text().replace("hosts = [", 'hosts = [{ ssh = "127.0.0.1:1" }, ') + 'anchor = "local/a"\n'
    )
    ran = one.bench.run("top", "--once", "-d", "0.2", code=4)
    assert "127.0.0.1:1  out of reach: no connection" in ran.out


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _children(parent: int) -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _parent(int(entry.name)) == parent]
