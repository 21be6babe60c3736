"""`mikoshi check`: everything that can be found wrong without changing anything."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mikoshi.cli.parser import Parser, Verbs, add_environment, verb

if TYPE_CHECKING:
    from mikoshi.config.model import Environment


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "check", run, "check the configuration, and with --hosts every host",
        "Check mikoshi.toml in every environment and the files it names. With --hosts, also log in to every host\n"
        "(of ENV, or of all environments) and see whether a deploy could work there. Changes nothing.",
    )  # fmt: skip
    add_environment(parser)
    parser.add_argument("--hosts", action="store_true", help="log in to the hosts, too")


def run(arguments: argparse.Namespace) -> int:
    """Report; raises ConfigInvalid with every problem found in files, and returns 4 if a host is out of reach."""
    from mikoshi.cli import context
    from mikoshi.cli.output import counted
    from mikoshi.core.errors import ConfigInvalid

    found = context.configuration(arguments)
    if problems := found.check():
        raise ConfigInvalid(problems)
    names = [found.environment(arguments.env).name] if arguments.env else list(found.environments)
    code = 0
    for name in names:
        environment = found.environment(name)
        print(f"{found.app} {name}: {counted(len(environment.hosts), 'host')}, style {environment.style}")
        for note in environment.notes:
            print(f"  note: {note}")
        if arguments.hosts:
            code = max(code, context.run(_hosts(environment)))
    print("no problem found" if code == 0 else "a deploy could not work on every host")
    return code


async def _hosts(environment: Environment) -> int:
    from mikoshi import wiring
    from mikoshi.cli.explain import exit_code, explain
    from mikoshi.cli.output import size
    from mikoshi.styles.push.observe import fleet_view

    async with wiring.fleet(environment, lambda _event: None) as fleet:
        await fleet.connect()
        for host in environment.hosts:
            if host.name in fleet.errors:
                explained = explain(fleet.errors[host.name])
                print(f"  {explained.what}\n    {explained.next}")
                continue
            view = fleet.views[host.name]
            rights = "root" if view.root else "no root"
            print(
                f"  {host.name}: {view.user} ({rights}), {view.platform}, Python {view.python}, "
                f"{size(view.free_bytes)} free in {view.path}"
            )
        fleet_view(dict(fleet.views), tuple(fleet.errors), environment.anchor)
        return max((exit_code(error) for error in fleet.errors.values()), default=0)
