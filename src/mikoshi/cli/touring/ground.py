"""The tour's own directory: nothing is written outside of it, and nothing that was started in it outlives the tour."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import randrange
from types import FrameType
from typing import NoReturn

from mikoshi.cli.touring.ending import end_all
from mikoshi.core.errors import WrongUsage

NAME = ".demo"
_MARK = "made-by-mikoshi-tour"
_SHOP = Path(__file__).with_name("shop")
_STOPS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Ground:
    """`root` is the directory, absolute; `shown` what a person calls it."""

    root: Path
    shown: str

    @property
    def app(self) -> Path:
        """The application that is deployed."""
        return self.root / "shop"

    @property
    def nodes(self) -> Path:
        """The nodes, each a directory."""
        return self.root / "nodes"

    def clear(self) -> None:
        """End what an earlier tour left running, and remove what it left. Raises NotEnded."""
        self.end_servers()
        for path in self.root.iterdir():
            if path.name != _MARK:
                _remove(path)

    def end_servers(self) -> int:
        """End all that runs on the nodes and let nothing be started there any more; on how many something ran.

        Raises NotEnded.
        """
        return end_all([path for path in self.nodes.glob("*/*/*") if path.is_dir()])

    def bring_shop(self) -> None:
        """Put the application there, as somebody would have written it."""
        shutil.copytree(_SHOP, self.app, ignore=shutil.ignore_patterns("__pycache__"))
        articles = self.app / "articles"
        articles.mkdir()
        for number in range(1, 201):
            (articles / f"{number:03}.txt").write_text(
                f"Article {number}\n" + f"It costs {number * 10} yen. " * 20 + "\n"
            )


@contextmanager
def ground(directory: Path) -> Iterator[Ground]:
    """The tour's directory below `directory`, locked against a second tour. Raises WrongUsage."""
    root, shown = directory.absolute() / NAME, os.path.normpath(directory / NAME)
    mark = root / _MARK
    try:
        if root.exists() and not mark.exists() and any(root.iterdir()):
            raise WrongUsage(f"{shown} is there and was not made by a tour: move it away, or work elsewhere (-C DIR)")
        root.mkdir(exist_ok=True)
        lock = mark.open("a")
    except OSError as error:
        raise WrongUsage(f"{shown} cannot be used: {error.strerror}; work elsewhere: mikoshi -C DIR tour") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WrongUsage(f"another tour is under way in {shown}") from None
        with _variables(root), _handlers():
            yield Ground(root, shown)


@contextmanager
def _variables(root: Path) -> Iterator[None]:
    """Mikoshi's own files go below `root`; no environment is preselected, no repository around it looked at."""
    before = dict(os.environ)
    os.environ.update({f"XDG_{kind}_HOME": str(root / "mikoshi" / kind.lower()) for kind in ("DATA", "CACHE", "STATE")})
    os.environ["GIT_CEILING_DIRECTORIES"] = str(root)
    os.environ.pop("MIKOSHI_ENV", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _handlers() -> Iterator[None]:
    """Have the signals as they were again in the end."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *_STOPS)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_on_signals() -> None:
    """Let TERM and HUP do what Ctrl-C does. Again after each command: a command puts its own handlers in place."""
    for number in _STOPS:
        signal.signal(number, _stop)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def ignore_signals() -> None:
    """Let nothing but SIGKILL disturb what follows."""
    for number in (signal.SIGINT, *_STOPS):
        signal.signal(number, signal.SIG_IGN)


def free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on, below those that the system gives to clients."""
    with ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = randrange(20_000, 30_000)
            try:
                probe = held.enter_context(closing(socket.socket()))
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            ports.append(port)
        return ports


def _remove(path: Path) -> None:
    """Remove a file or a tree, directories that nobody may write in included.

    It loses its name first: what is left of a killed tour's engine finds nothing to write to any more.
    """
    path = path.rename(path.with_name(f".gone-{path.name}"))
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    for directory, _below, _files in os.walk(path):
        Path(directory).chmod(stat.S_IRWXU)
    shutil.rmtree(path)
