"""What restart and stop share: the order for the engine, how its events are shown, and this machine's history."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine
from typing import Any

from mikoshi import wiring
from mikoshi.cli import context
from mikoshi.cli.deploying import printer
from mikoshi.config.model import Environment
from mikoshi.core.errors import Interrupted, WrongUsage
from mikoshi.core.events import CommandBegan, Event, NodeStopped, Note, WaveBegan
from mikoshi.core.messages import NodeView
from mikoshi.engine import history, operate
from mikoshi.engine.fleet import Fleet
from mikoshi.engine.operate import Order

Operation = Callable[[Fleet, Order], Coroutine[Any, Any, None]]
Preview = Callable[[Order, dict[str, NodeView]], tuple[object, list[str]]]


def chosen(arguments: argparse.Namespace, verb: str) -> Environment:
    """The environment, and whether there is anything in it for the verb. Raises WrongUsage, HostNotInEnvironment …"""
    environment = context.environment(arguments, verb)
    context.chosen_hosts(environment, arguments.only or ())
    kept = any(process.command for process in environment.processes.values()) and not environment.restart
    if not kept and (verb == "stop" or not environment.restart):
        raise WrongUsage(
            f"{environment.name} has no process that Mikoshi keeps: give a [process.NAME] a `command`"
            + (", and drop `restart`" if environment.restart else "")
        )
    return environment


def carry_out(arguments: argparse.Namespace, environment: Environment, operation: Operation) -> int:
    """Do it on the nodes, showing events; the history of this machine is written however it ends."""
    show, begun = printer(arguments), False

    def emit(event: Event) -> None:
        nonlocal begun
        begun = begun or isinstance(event, (WaveBegan, NodeStopped))
        show(event)

    def remember(entry: operate.Entry) -> None:
        file = history.local_file(wiring.state_directory(), environment.app, environment.name)
        try:
            history.append(file, entry)
        except OSError as error:
            emit(Note(f"the local history could not be written: {error}"))

    async def operating() -> None:
        async with wiring.fleet(environment, emit) as fleet:
            await operation(fleet, order(arguments, environment, remember))

    hosts = arguments.only or [host.name for host in environment.hosts]
    emit(CommandBegan(arguments.verb, environment.app, environment.name, tuple(hosts)))
    try:
        context.run(operating())
    except Interrupted as error:
        raise Interrupted(f"in the middle of the {arguments.verb}") if begun else error from None
    finally:
        show.close()
    return 0


def order(
    arguments: argparse.Namespace,
    environment: Environment,
    remember: Callable[[operate.Entry], None] = lambda _entry: None,
) -> Order:
    """The engine's order."""
    only = context.chosen_hosts(environment, arguments.only or ())
    return Order(arguments.verb, context.who(), arguments.message, environment.rollout, only, remember)


def look(arguments: argparse.Namespace, environment: Environment, preview: Preview) -> int:
    """--dry-run: read the nodes, and print what would be done on them."""
    from mikoshi.cli.output import print_json

    asked = order(arguments, environment)

    async def looking() -> dict[str, NodeView]:
        async with wiring.fleet(environment, lambda _event: None) as fleet:
            return await operate.look(fleet, asked)

    data, lines = preview(asked, context.run(looking()))
    if arguments.json:
        print_json(data)
    else:
        print("\n".join(lines))
    return 0
