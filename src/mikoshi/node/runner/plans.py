"""What of a deployment the runner needs: its processes and how each is to be started. Reads the deployment's files.

It reads `record` and `env` itself: the engine's own readers would bring in twice the memory.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mikoshi.node import envfile

STOP_FIRST, START_FIRST = "stop-first", "start-first"
STOP_SECONDS = 30.0


class PlanUnreadable(Exception):
    """A deployment is not complete here, or not in a form that this runner knows; the text says what."""


@dataclass(frozen=True)
class ProcessPlan:
    """One kind of process. `listen` is "ADDRESS:PORT" or "". `limits`: memory (bytes), cpu (cores), files."""

    name: str
    command: str
    listen: str = ""
    instances: int = 1
    stop_signal: int = signal.SIGTERM
    stop_within: float = STOP_SECONDS
    replace: str = START_FIRST
    limits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeploymentPlan:
    """The processes of a deployment by name, their environment, the user id they run as, and their directory."""

    seq: int
    processes: Mapping[str, ProcessPlan]
    values: Mapping[str, str]
    uid: int
    tree: str


def process_plan(name: str, process: Mapping[str, Any]) -> ProcessPlan:
    """A process from its settings, which may be of an earlier version that knew less."""
    stop = process.get("stop") or {}
    listen = str(process.get("listen") or "")
    return ProcessPlan(
        name=name,
        command=str(process["command"]),
        listen=listen,
        instances=int(process.get("instances", 1)),
        stop_signal=signal.Signals[f"SIG{stop.get('signal', 'TERM')}"].value,
        stop_within=float(stop.get("within", STOP_SECONDS)),
        replace=str(process.get("replace") or (START_FIRST if listen else STOP_FIRST)),
        limits=process.get("limits") or {},
    )


def runs_by_runner(settings: Mapping[str, Any]) -> bool:
    """Whether settings (as JSON) leave their processes to the runner: a `restart` of the user's own takes its place."""
    return not settings.get("restart") and any(one.get("command") for one in settings["processes"].values())


def read_plan(root: str, seq: int) -> DeploymentPlan:
    """The plan of a deployment below the environment's directory. Raises PlanUnreadable."""
    directory = os.path.join(root, "deployments", str(seq))
    try:
        with open(os.path.join(directory, "record"), "rb") as file:
            settings = json.loads(file.read())["settings"]
        with open(os.path.join(directory, "env"), "rb") as file:
            values, uid = envfile.decode(file.read()), os.fstat(file.fileno()).st_uid
        chosen = settings["processes"].items() if runs_by_runner(settings) else ()
        processes = {name: process_plan(name, one) for name, one in chosen if one.get("command")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanUnreadable(f"deployment {seq}: {error}") from error
    return DeploymentPlan(seq, processes, values, uid, os.path.join(directory, "tree"))


def command_line(command: str, port: int, descriptor: int) -> list[str]:
    """The argv for a command as it is configured, `{fd}` and `{port}` filled in. The shell gives way to the process:
    signals and $LISTEN_PID are meant for that."""
    text = command.replace("{fd}", str(descriptor)).replace("{port}", str(port))
    words = text.split()
    if words and not any(mark in text for mark in ";&|\n") and words[0] not in ("exec", "if", "while", "for", "case"):
        text = f"exec env {text}" if "=" in words[0] else f"exec {text}"
    return ["/bin/sh", "-c", text]
