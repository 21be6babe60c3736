"""What of an environment reaches the running application: `core.deployment.Settings`.

Everything in it takes part in the settings' digest: nothing may come in that only says how a deployment travels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mikoshi.config.model import Command, Environment, Host, Process
from mikoshi.core.deployment import Settings


def settings_of(environment: Environment, macs: Mapping[str, str]) -> Settings:
    """The settings of `environment`; `macs` are the secrets' names with the HMACs of their values."""
    return Settings(
        processes=_processes(environment.processes, environment),
        vars=dict(environment.vars),
        hosts={host.name: own for host in environment.hosts if (own := _own(host, environment))},
        shared=environment.shared,
        hooks={name: _command(hook) for name, hook in environment.hooks.items()},
        run_as=environment.run_as,
        restart=_command(environment.restart) if environment.restart else None,
        replaces=environment.replaces,
        secrets=dict(macs),
    )


def _own(host: Host, environment: Environment) -> dict[str, Any]:
    """What a host has otherwise than the environment; empty if nothing."""
    own: dict[str, Any] = {}
    if different := {name: value for name, value in host.vars.items() if environment.vars.get(name) != value}:
        own["vars"] = different
    if host.processes != environment.processes:
        own["processes"] = _processes(host.processes, environment)
    return own


def _processes(processes: Mapping[str, Process], environment: Environment) -> dict[str, Any]:
    site = environment.domains[0] if environment.domains else ""
    return {name: _process(process, site) for name, process in processes.items()}


def _process(process: Process, site: str) -> dict[str, Any]:
    health, limits = process.health, process.limits
    return {
        "command": process.command,
        "listen": process.listen,
        "health": {"path": health.path, "within": health.within, "explicit": health.explicit, "site": site},
        "instances": process.instances,
        "stop": {"signal": process.stop.signal, "within": process.stop.within},
        "replace": process.replace,
        "limits": {name: value for name, value in asdict(limits).items() if value is not None},
    }


def _command(command: Command) -> dict[str, Any]:
    return {"run": command.run, "within": command.within}
