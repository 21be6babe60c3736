"""A small WSGI application: it says what runs, counts visits in the shared directory, and signs with a secret."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

VERSION = "1"
VISITS = Path("var/visits")


def application(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    status, text = answer(environ["PATH_INFO"])
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]


def answer(path: str) -> tuple[str, str]:
    match path:
        case "/":
            greeting, seq = os.environ["GREETING"], os.environ["MIKOSHI_SEQ"]
            return "200 OK", f"{greeting} from version {VERSION}, deployment {seq}\n"
        case "/up":
            return "200 OK", "up\n"
        case "/visits":
            return "200 OK", f"{count_visit()}\n"
        case "/signed":
            key = os.environ["SECRET_KEY"].encode()
            return "200 OK", hmac.new(key, VERSION.encode(), hashlib.sha256).hexdigest() + "\n"
        case _:
            return "404 Not Found", "not found\n"


def count_visit() -> int:
    """`var/` is a link to the shared directory: the count outlives deployments, and several processes share it."""
    with VISITS.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        visits = int(file.read() or 0) + 1
        file.truncate(0)
        file.write(str(visits))
        return visits
