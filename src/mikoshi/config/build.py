"""From merged, checked levels to the typed Environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mikoshi.config.document import Node
from mikoshi.config.filled import filled
from mikoshi.config.levels import HostLevel, Levels
from mikoshi.config.model import Environment, Host, Process
from mikoshi.config.notes import notes_of
from mikoshi.config.sections.commands import command_of, hooks_of
from mikoshi.config.sections.environment import ENVIRONMENT
from mikoshi.config.sections.hosts import HOST
from mikoshi.config.sections.process import PROCESSES, process_of
from mikoshi.config.sections.release import RELEASE, release_of
from mikoshi.config.sections.rollout import rollout_of
from mikoshi.config.sections.ssh import ssh_of
from mikoshi.config.values.addresses import host as host_address
from mikoshi.config.values.addresses import same_node
from mikoshi.core.address import Address


def environment_of(app: str, root: Path, release: Node | None, levels: Levels) -> Environment:
    """The environment that the levels describe; they have no problems. `root`: the directory of mikoshi.toml."""
    values: dict[str, Any] = filled(ENVIRONMENT, levels.settings)
    hosts = tuple(_host(level, values["host_key"]) for level in levels.hosts)
    environment = Environment(
        app=app,
        name=levels.name,
        style=values["style"],
        root=root,
        hosts=hosts,
        anchor=_anchor(hosts, values.get("anchor")),
        path=values.get("path", ""),
        run_as=values.get("run_as", ""),
        source=values["source"],
        release=release_of(filled(RELEASE, release)),
        processes=_processes(levels.processes),
        vars=values["vars"],
        secrets=tuple(values["secrets"]),
        secrets_from=root / values["secrets_from"] if "secrets_from" in values else None,
        shared=tuple(values["shared"]),
        hooks=hooks_of(values["hooks"]),
        restart=command_of(values["restart"]) if "restart" in values else None,
        replaces=values.get("replaces", ""),
        domains=tuple(values["domains"]),
        rollout=rollout_of(values["rollout"]),
        keep=values["keep"],
        ssh=ssh_of(values["ssh"], root),
    )
    return replace(environment, notes=notes_of(environment))


def _processes(node: Node) -> dict[str, Process]:
    values: Mapping[str, Any] = filled(PROCESSES, node)
    return {name: process_of(name, table, _explicit(node.value[name])) for name, table in values.items()}


def _explicit(process: Node) -> bool:
    health = process.get("health")
    return health is not None and "path" in health.value


def _host(level: HostLevel, keys: Mapping[str, str]) -> Host:
    values: dict[str, Any] = filled(HOST, level.item)
    address: Address = values["ssh"]
    pinned = (key for name, key in keys.items() if same_node(host_address(name)) == same_node(address))
    return Host(
        address=replace(address, host_key=values.get("host_key") or next(pinned, "")),
        vars=values["vars"],
        processes=_processes(level.processes),
    )


def _anchor(hosts: tuple[Host, ...], chosen: Address | None) -> str:
    """The name of the host that keeps the environment's records: the chosen one, else the first."""
    names = [host.name for host in hosts if chosen is None or same_node(host.address) == same_node(chosen)]
    return names[0] if names else ""
