"""What processes and commands find in their environment: the deployment's own values and Mikoshi's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mikoshi.core.deployment import Deployment, Settings
from mikoshi.core.errors import ProtocolMismatch, SecretsMissing, TreeEdited
from mikoshi.node import envfile
from mikoshi.node.workspace import Workspace

KEEP = "$keep"


def environment_of(
    work: Workspace, seq: int, settings: Settings, values: Mapping[str, Any], deployment: Deployment
) -> bytes:
    """The env file of a deployment. `values` are its vars and secrets; `$keep` names secrets whose values stay as
    they are in the running deployment. Raises SecretsMissing for one that it does not have."""
    own = {name: value for name, value in values.items() if name != KEEP}
    if not all(isinstance(value, str) for value in own.values()):
        raise ProtocolMismatch("a value of the environment is no text")
    defaults = {"PYTHONPYCACHEPREFIX": work.paths.bytecode(seq), **_port(settings)}
    merged = {**defaults, **_kept(work, values.get(KEEP, [])), **own, **_mikoshi(work, seq, deployment)}
    return envfile.encode(merged)


def _mikoshi(work: Workspace, seq: int, deployment: Deployment) -> dict[str, str]:
    return {
        "MIKOSHI_APP": work.paths.app,
        "MIKOSHI_ENV": work.paths.env,
        "MIKOSHI_SEQ": str(seq),
        "MIKOSHI_RELEASE": deployment.release,
        "MIKOSHI_PATH": work.paths.root,
        "MIKOSHI_TREE": work.deployments.paths(seq).tree,
        "MIKOSHI_SHARED": work.paths.shared,
    }


def _port(settings: Settings) -> dict[str, str]:
    """PORT of the first process that listens."""
    for process in settings.processes.values():
        port = str(process.get("listen", "")).rpartition(":")[2]
        if port.isdigit():
            return {"PORT": port}
    return {}


def _kept(work: Workspace, names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    current = work.deployments.current()
    values = read(work, current) if current else {}
    lacking = [name for name in names if name not in values]
    if lacking:
        where = work.deployments.paths(current).env if current else work.paths.current
        raise SecretsMissing(lacking, [where])
    return {name: values[name] for name in names}


def read(work: Workspace, seq: int) -> dict[str, str]:
    """The values in a deployment's env file. Raises OSError, and TreeEdited for a file that was tampered with."""
    with open(work.deployments.paths(seq).env, "rb") as file:
        data = file.read()
    try:
        return envfile.decode(data)
    except ValueError as error:
        raise TreeEdited(seq, ["env"]) from error
