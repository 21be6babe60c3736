"""What systemd is told and asked by its notification socket: readiness, and sockets that outlive the holder.

sd_notify(3) and sd_pid_notify_with_fds(3): one datagram of NAME=value lines, descriptors by SCM_RIGHTS. Without
$NOTIFY_SOCKET everything here does nothing.
"""

from __future__ import annotations

import os
import socket


def notify(text: str, *descriptors: int) -> None:
    """Tell systemd. One that does not listen is no failure: it only makes the holder less."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.connect("\0" + address[1:] if address.startswith("@") else address)
            if descriptors:
                socket.send_fds(connection, [text.encode()], list(descriptors))
            else:
                connection.send(text.encode())
    except OSError:
        return


def store(name: str, descriptor: int) -> None:
    """Have systemd keep a listening socket for the next holder."""
    notify(f"FDSTORE=1\nFDNAME={_fd_name(name)}", descriptor)


def unstore(name: str) -> None:
    """Have systemd close what it keeps under this name."""
    notify(f"FDSTOREREMOVE=1\nFDNAME={_fd_name(name)}")


def stored() -> dict[str, int]:
    """What systemd kept: descriptors by name (sd_listen_fds_with_names(3)). The variables are taken away."""
    own = os.environ.pop("LISTEN_PID", "") == str(os.getpid())
    count = int(os.environ.pop("LISTEN_FDS", "0") or 0)
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if not own:
        return {}
    return {name.replace(",", ":"): 3 + number for number, name in zip(range(count), names)}


def _fd_name(name: str) -> str:
    """An address as FDNAME allows it: without colons."""
    return name.replace(":", ",")
