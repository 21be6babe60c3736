"""An ssh-agent that cannot outlive the fleet it was started for."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mikoshi.testing.hosts.deadline import wait_until
from mikoshi.testing.hosts.errors import HostError
from mikoshi.testing.hosts.namespaces import ENVIRONMENT, FleetNamespaces

LIMIT = 20.0  # seconds


@contextlib.contextmanager
def ssh_agent(namespaces: FleetNamespaces, keys: Sequence[Path]) -> Iterator[Path]:
    """Run an agent that holds the private `keys` and the certificates beside them; gives its socket."""
    # Not in the fleet's directory: a socket's path is at most 107 bytes, and pytest's directories are long.
    with tempfile.TemporaryDirectory(prefix="agent-") as directory:
        path = Path(directory) / "socket"
        agent = subprocess.Popen(
            namespaces.entering(["ssh-agent", "-D", "-a", str(path)]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env=ENVIRONMENT,
        )
        try:
            if not wait_until(lambda: path.exists() or agent.poll() is not None, LIMIT) or not path.exists():
                raise HostError("fleet", "ssh-agent does not start")
            environment = {**os.environ, "SSH_AUTH_SOCK": str(path)}
            subprocess.run(["ssh-add", "-q", *map(str, keys)], check=True, capture_output=True, env=environment)
            yield path
        finally:
            # `agent` is nsenter, which waits for the agent: it is the agent that has to be ended.
            if agent.poll() is None:
                os.kill(_listener(path), signal.SIGTERM)
            agent.wait()


def _listener(path: Path) -> int:
    """The pid of the process that listens on a Unix socket: struct ucred begins with it (unix(7))."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, _, _ = struct.unpack("3i", credentials)
    return int(pid)
