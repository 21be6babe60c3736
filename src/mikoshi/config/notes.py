"""What a person should know about a configuration that is right: not problems, and nothing is refused for them."""

from __future__ import annotations

from mikoshi.config.model import Environment


def notes_of(environment: Environment) -> tuple[str, ...]:
    """One line for each thing worth knowing."""
    return (*_commands(environment), *_start(environment), *_health(environment))


def _commands(environment: Environment) -> list[str]:
    starts = "`restart` starts the application" if environment.restart else "set `restart` to start the application"
    return [
        f"process.{name}: command is not run yet: {starts}"
        for name, process in environment.processes.items()
        if process.command
    ]


def _start(environment: Environment) -> list[str]:
    listens = [name for name, process in environment.processes.items() if process.listen]
    if environment.restart or not listens:
        return []
    return [f"nothing restarts process.{listens[0]}: its health check may be answered by what ran before"]


def _health(environment: Environment) -> list[str]:
    if any(process.listen for host in environment.hosts for process in host.processes.values()):
        return []
    return ["no process has `listen`: health is not checked"]
