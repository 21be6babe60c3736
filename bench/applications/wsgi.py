"""The application for WSGI servers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

NAME = os.environ.get("GENERATION", "0").encode() + b"\n"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """One request."""
    path = environ["PATH_INFO"]
    if path.startswith("/stream/"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return _stream(*(int(word) for word in path.split("/")[2:]))
    body = NAME + environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def _stream(parts: int, pause: int) -> Iterator[bytes]:
    yield NAME
    for number in range(parts):
        time.sleep(pause / 1000)
        yield b"%d\n" % number
