"""The live screen: pages are drawn until somebody quits, then the terminal is as it was before."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from mikoshi.cli.watching.keys import Keys, keys_at_once
from mikoshi.cli.watching.page import Look, page, room
from mikoshi.cli.watching.rows import Row


@dataclass
class Screen:
    """A terminal that shows rows. `rows` gives those of the moment, `every` is how long a page stands, in seconds."""

    title: str
    rows: Callable[[], list[Row]]
    every: float
    look: Look = field(default_factory=Look)
    _keys: Keys = field(default_factory=Keys)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Show until q is pressed, or the terminal is gone."""
        console, terminal = Console(highlight=False), sys.stdin.fileno()
        loop = asyncio.get_running_loop()
        with _while_there_is_a_terminal(), keys_at_once(terminal):
            loop.add_reader(terminal, self._typed, terminal, console)
            loop.add_signal_handler(signal.SIGWINCH, self._wake.set)
            try:
                with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False) as live:
                    await self._show(live, console)
            finally:
                loop.remove_reader(terminal)
                loop.remove_signal_handler(signal.SIGWINCH)

    async def _show(self, live: Live, console: Console) -> None:
        while not self.look.ended:
            self._wake.clear()
            live.update(self._page(console), refresh=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.every):
                    await self._wake.wait()

    def _page(self, console: Console) -> Group:
        columns, lines = console.size
        clock = time.strftime("%H:%M:%S")
        styled = page(self.title, clock, self.rows(), self.look, columns, lines)
        return Group(*(Text(line.text, line.style, no_wrap=True, overflow="crop") for line in styled))

    def _typed(self, terminal: int, console: Console) -> None:
        try:
            data = os.read(terminal, 1024)
        except OSError:
            data = b""
        if not data:
            self.look = Look(ended=True)
        for key in self._keys.feed(data):
            self.look = self.look.after(key, len(self.rows()), room(console.size.height))
        self._wake.set()


@contextlib.contextmanager
def _while_there_is_a_terminal() -> Iterator[None]:
    """A terminal that was closed is no failure: nobody looks any more."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise
