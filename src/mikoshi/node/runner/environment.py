"""The environment of a process: the deployment's, and what it is told about its socket.

Two protocols hand a socket over: systemd's (sd_listen_fds(3): LISTEN_FDS, LISTEN_FDNAMES, and LISTEN_PID once the pid
is known) and Server::Starter's (SERVER_STARTER_PORT). A command with {fd} in it is told there, and in no other way:
gunicorn, told twice, takes the same descriptor twice and fails.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from mikoshi.node.bare import for_command
from mikoshi.node.machine import User
from mikoshi.node.runner.plans import ProcessPlan
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
