"""The system's ssh client, as tests of the hosts use it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from mikoshi.testing.hosts import Host


def over_ssh(
    host: Host, *command: str, options: tuple[str, ...] = (), agent: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """What ssh gives for a command on the host; no agent but the one given is asked."""
    environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    if agent is not None:
        environment["SSH_AUTH_SOCK"] = str(agent)
    return subprocess.run(
        host.ssh(*command, options=options),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
    )
