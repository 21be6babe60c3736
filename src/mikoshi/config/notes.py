"""What a person should know about a configuration that is right: not problems, and nothing is refused for them."""

from __future__ import annotations

from mikoshi.config.model import Environment


def notes_of(environment: Environment) -> tuple[str, ...]:
    """One line for each thing worth knowing."""
    return (*_commands(environment), *_start(environment), *_health(environment))


def _commands(environment: Environment) -> list[str]:
    if not environment.restart:
        return []
    return [
        f"process.{name}: command is not run: `restart` starts the application, and requests may fail meanwhile"
        for name, process in environment.processes.items()
        if process.command
    ]


def _start(environment: Environment) -> list[str]:
    listens = [name for name, process in environment.processes.items() if process.listen and not process.command]
    if environment.restart or not listens:
        return []
    text = "without `command` or `restart` its health check may be answered by what ran before"
    return [f"nothing starts process.{listens[0]}: {text}"]


def _health(environment: Environment) -> list[str]:
    if any(process.listen for host in environment.hosts for process in host.processes.values()):
        return []
    return ["no process has `listen`: health is not checked"]
