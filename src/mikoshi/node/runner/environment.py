"""How a process is started: its environment, what it is told about its socket, and all the rest of it.

Two protocols hand a socket over: systemd's (sd_listen_fds(3): LISTEN_FDS, LISTEN_FDNAMES, and LISTEN_PID once the pid
is known) and Server::Starter's (SERVER_STARTER_PORT). A command with {fd} in it is told there, and in no other way:
gunicorn, told twice, takes the same descriptor twice and fails.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mikoshi.node import machine
from mikoshi.node.bare import for_command
from mikoshi.node.machine import User
from mikoshi.node.runner import cgroups
from mikoshi.node.runner.plans import DeploymentPlan, ProcessPlan, command_line
from mikoshi.node.runner.sockets import host_and_port
from mikoshi.node.runner.spawn import FIRST_DESCRIPTOR


def process_environment(
    values: Mapping[str, str], user: User, plan: ProcessPlan, number: int, listen: str, drain: str, trial: bool
) -> dict[str, str]:
    """Everything a process finds in its environment but LISTEN_PID. `listen` is where its socket is, "" for none;
    `drain` the directory of the helpers."""
    own = for_command(values, user)
    own["MIKOSHI_PROCESS"] = f"{plan.name}.{number}"
    own["MIKOSHI_DRAIN"] = os.path.join(drain, "mikoshi", "drain")
    own["PYTHONPATH"] = f"{own['PYTHONPATH']}{os.pathsep}{drain}" if own.get("PYTHONPATH") else drain
    if trial:
        own["MIKOSHI_TRIAL"] = "1"
    if not listen:
        return own
    host, port = host_and_port(listen)
    own["PORT"] = str(port)
    if "{fd}" not in plan.command:
        own["LISTEN_FDS"] = "1"
        own["LISTEN_FDNAMES"] = plan.name
        own["SERVER_STARTER_PORT"] = f"{f'[{host}]' if ':' in host else host}:{port}={FIRST_DESCRIPTOR}"
    return own


def spec_of(
    root: str,
    code: str,
    deployment: DeploymentPlan,
    plan: ProcessPlan,
    number: int,
    group: str,
    listen: str,
    trial: bool,
) -> dict[str, Any]:
    """All that the holder needs to start a process (see spawn.py). `group` names its control group."""
    user = machine.user_of(deployment.uid)
    changes = deployment.uid != os.geteuid()
    port = host_and_port(listen)[1] if listen else 0
    return {
        "argv": command_line(plan.command, port, FIRST_DESCRIPTOR),
        "env": process_environment(deployment.values, user, plan, number, listen, code, trial),
        "cwd": deployment.tree,
        "uid": user.uid if changes else None,
        "gid": user.gid,
        "groups": os.getgrouplist(user.name, user.gid) if changes and machine.find_user(user.name) else [],
        "nofile": int(plan.limits.get("files", 0)),
        "cgroups": cgroups.prepare(root, group, plan.limits),
    }
