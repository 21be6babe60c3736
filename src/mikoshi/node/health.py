"""Asks a process whether it is healthy, over HTTP, until it says so or its time is over."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mikoshi.core.deployment import Settings
from mikoshi.core.errors import HealthFailed

INTERVAL = 0.1
TRY_LIMIT = 2.0
WITHIN = 30.0
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})[ \r\n]")
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1", "*": "127.0.0.1"}


@dataclass(frozen=True)
class Check:
    """One process's check. `explicit`: the answer must be 2xx or 3xx, otherwise anything below 500 will do.

    `site` is the name that the application is reached by, over HTTPS; "" if it is not known.
    """

    process: str
    host: str
    port: int
    path: str
    within: float
    explicit: bool
    site: str = ""

    @property
    def url(self) -> str:
        """What is asked."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.path}"

    def accepts(self, status: int) -> bool:
        """Whether an answer with this status is a healthy one."""
        return 200 <= status < 400 if self.explicit else status < 500


def checks_of(settings: Settings) -> list[Check]:
    """The checks of every process that listens."""
    return [_check(name, process) for name, process in settings.processes.items() if process.get("listen")]


def _check(name: str, process: Mapping[str, Any]) -> Check:
    host, _, port = str(process["listen"]).rpartition(":")
    host = host.strip("[]")
    health = process.get("health") or {}
    return Check(
        name,
        _ANY.get(host, host),
        int(port),
        str(health.get("path", "/")),
        float(health.get("within", WITHIN)),
        bool(health.get("explicit", False)),
        str(health.get("site") or ""),
    )


def wait_healthy(check: Check, log: list[str]) -> None:
    """Return once the process is healthy. Raises HealthFailed; `log` is given with it by the caller."""
    begun = time.monotonic()
    deadline = begun + check.within
    while True:
        left = deadline - time.monotonic()
        healthy, answer = ask(check, max(0.05, min(TRY_LIMIT, left)))
        if healthy:
            return
        if time.monotonic() + INTERVAL >= deadline:
            raise HealthFailed(check.process, check.url, answer, check.within, log)
        time.sleep(INTERVAL)


def ask(check: Check, limit: float) -> tuple[bool, str]:
    """One try of at most `limit` seconds: whether it was healthy, and what was seen."""
    deadline = time.monotonic() + limit
    try:
        with socket.create_connection((check.host, check.port), limit) as connection:
            return ask_over(connection, check, deadline - time.monotonic())
    except ConnectionRefusedError:
        return False, "refused"
    except socket.timeout:
        return False, f"no answer in {limit:.3g} s"
    except OSError as error:
        return False, error.strerror or str(error)


def ask_over(connection: socket.socket, check: Check, limit: float, sent: int = 0) -> tuple[bool, str]:
    """The same over a connection that stands, on which so many bytes of the request were `sent`. A slow trickle cannot
    outlast the limit. Raises OSError."""
    try:
        status = _status(connection, request_of(check)[sent:], time.monotonic() + limit)
    except socket.timeout:
        return False, f"no answer in {limit:.3g} s"
    if status == 0:
        return False, "no HTTP answer"
    return check.accepts(status), str(status)


def request_of(check: Check) -> bytes:
    """The request: as the site's own visitors send it, where the site is known."""
    host = f"[{check.host}]" if ":" in check.host else check.host
    headers = [f"Host: {check.site or f'{host}:{check.port}'}", "User-Agent: mikoshi-health", "Accept: */*"]
    if check.site:
        headers += ["X-Forwarded-Proto: https", "X-Forwarded-For: 127.0.0.1"]
    lines = [f"GET {check.path} HTTP/1.1", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode()


def _status(connection: socket.socket, request: bytes, deadline: float) -> int:
    """The status of the answer, 0 for one that is not HTTP."""
    connection.settimeout(_left(deadline))
    connection.sendall(request)
    answer = b""
    while b"\n" not in answer and len(answer) < 1024:
        connection.settimeout(_left(deadline))
        block = connection.recv(1024)
        if not block:
            break
        answer += block
    found = _STATUS_LINE.match(answer)
    return int(found.group(1)) if found else 0


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout
    return left
