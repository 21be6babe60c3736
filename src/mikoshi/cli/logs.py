"""`mikoshi logs`: what the processes print, of all hosts together."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import TYPE_CHECKING

from mikoshi.cli.parser import Parser, Verbs, add_environment, add_json, add_only, verb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mikoshi.config.model import Environment
    from mikoshi.core.errors import MikoshiError
    from mikoshi.engine.loglines import Line
    from mikoshi.engine.logs import News


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "logs", run, "what the processes print, on all hosts",
        "The last lines of the processes' output, of all hosts by time; with --follow also what comes. A host\n"
        "that is lost is tried again and goes on where it was. Secrets appear as [NAME].",
    )  # fmt: skip
    add_environment(parser)
    parser.add_argument("process", nargs="?", default="", metavar="PROCESS", help="this process only")
    parser.add_argument("-f", "--follow", action="store_true", help="show what comes too, until Ctrl-C")
    parser.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="the last N lines (100)")
    add_only(parser, "show")
    add_json(parser, "each line")


def run(arguments: argparse.Namespace) -> int:
    """Show logs; exit code 4 if a host is out of reach, 0 when following was ended."""
    from mikoshi.cli import context
    from mikoshi.core.errors import Interrupted

    environment = _environment(arguments)
    context.chosen_hosts(environment, arguments.only or ())
    _check(environment, arguments.process)
    try:
        return context.run(_read(arguments, environment))
    except Interrupted:
        if not arguments.follow:
            raise
        return 0


def _environment(arguments: argparse.Namespace) -> Environment:
    """The environment. Where one word was given that names none, but a process of the only one, it is the process."""
    from mikoshi.cli import context

    found = context.configuration(arguments)
    word = arguments.env
    if word and not arguments.process and word not in found.environments and len(found.environments) == 1:
        only = found.environment(found.environments[0])
        if word in only.processes:
            arguments.env, arguments.process = only.name, word
    return context.environment(arguments, "logs")


def _check(environment: Environment, process: str) -> None:
    """Raises ProcessUnknown."""
    from mikoshi.core.running_errors import ProcessUnknown

    known = list(environment.processes)
    if process and process not in known:
        nearest = difflib.get_close_matches(process.partition(".")[0], known, n=1)
        raise ProcessUnknown(process, nearest[0] if nearest else "", known)


async def _read(arguments: argparse.Namespace, environment: Environment) -> int:
    from mikoshi import wiring
    from mikoshi.cli import context
    from mikoshi.cli.loglines import printer
    from mikoshi.engine.logs import Reading

    nodes = context.chosen_hosts(environment, arguments.only or ()) or tuple(host.name for host in environment.hosts)
    reading = Reading(arguments.process, max(0, arguments.lines))
    show = printer(nodes, as_json=arguments.json)
    async with wiring.fleet(environment, reading.heard) as fleet:
        lines = await reading.last(fleet, nodes)
        if len(fleet.errors) == len(nodes) and not arguments.follow:
            raise fleet.errors[nodes[0]]
        _say_lost(fleet.errors, again=arguments.follow)
        for line in lines:
            show(line)
        sys.stdout.flush()
        if arguments.follow:
            await _follow(reading.follow(fleet, nodes), show)
        return 4 if fleet.errors else 0


async def _follow(news: AsyncIterator[News], show: Callable[[Line], None]) -> None:
    from mikoshi.engine.logs import Back, Gap, Lost

    async for one in news:
        match one:
            case Lost(node, error, again):
                _say_lost({node: error}, again=again)
            case Back(node):
                _say(f"{node}: there again")
            case Gap(node, process):
                _say(f"{node}: lines of {process} may be missing here")
            case line:
                show(line)
                sys.stdout.flush()


def _say_lost(errors: dict[str, MikoshiError], *, again: bool) -> None:
    from mikoshi.cli.explain import explain

    for error in errors.values():
        _say(explain(error).what + ("; it is tried again" if again else ""))


def _say(text: str) -> None:
    from mikoshi.cli.output import paint

    sys.stderr.write(paint("mikoshi: ", "yellow", sys.stderr) + text + "\n")
    sys.stderr.flush()
