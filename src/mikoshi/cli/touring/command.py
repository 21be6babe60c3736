"""Runs `mikoshi` within the tour: the real commands, whose output goes to the screen and whose events are kept."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TypeVar

from mikoshi import wiring
from mikoshi.cli import context, deploying, main
from mikoshi.cli.explain import exit_code, explain
from mikoshi.cli.output import error_text
from mikoshi.cli.probing import asked
from mikoshi.cli.progress import Lines
from mikoshi.cli.touring import story
from mikoshi.cli.touring.ground import Ground, stop_on_signals
from mikoshi.core import events as e
from mikoshi.core.errors import Interrupted, MikoshiError

_Kind = TypeVar("_Kind")


class _Kept(Lines):
    """Prints events as every command does, or in short how it ended and what failed, and keeps them."""

    def __init__(self, short: bool) -> None:
        super().__init__()
        self._short = short
        self.events: list[e.Event] = []

    def __call__(self, event: e.Event) -> None:
        """Keep and print the event."""
        self.events.append(event)
        if not self._short or isinstance(event, (e.CommandEnded, e.NodeFailed, e.NodeLost, e.Note)):
            super().__call__(event)


@dataclass(frozen=True)
class Ran:
    """A command that ended: its exit code, seconds, what happened, and how an error was explained."""

    code: int
    seconds: float
    events: list[e.Event] = field(default_factory=list)
    error: str = ""

    def all(self, kind: type[_Kind]) -> list[_Kind]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def sent(self) -> int:
        """Bytes of content that the nodes lacked, before compression."""
        return sum(event.received for event in self.all(e.StageEnded))

    @property
    def kept(self) -> int:
        """Bytes of content that the nodes had already."""
        return sum(event.reused for event in self.all(e.StageEnded))


def change(ground: Ground, *words: str, short: bool = False) -> Ran:
    """Run `mikoshi deploy` or `mikoshi rollback`. An error is printed and in the result; Interrupted is raised."""
    story.prompt(["mikoshi", *words])
    arguments = main.build_parser().parse_args(["-C", str(ground.app), *words])
    printer, began = _Kept(short), time.monotonic()
    code, text = 0, ""
    try:
        environment = context.environment(arguments, words[0])
        command = deploying.Command(arguments, environment, words[0], printer)
        if (probing := asked(arguments)) is not None:
            command.probe = wiring.probe(probing, command.emit)
        deploying.run_deploy(command, command.from_source if words[0] == "deploy" else command.from_past)
    except Interrupted:
        raise
    except MikoshiError as error:
        code, text = exit_code(error), error_text(explain(error))
        sys.stdout.write(text)
        print(f"(exit code {code})", flush=True)
    finally:
        stop_on_signals()
    return Ran(code, time.monotonic() - began, printer.events, text)


def look(ground: Ground, *words: str) -> int:
    """Run a command that only reads; its exit code."""
    story.prompt(["mikoshi", *words])
    try:
        return main.main(["-C", str(ground.app), *words])
    finally:
        stop_on_signals()
