"""The application for ASGI servers."""

from __future__ import annotations

import asyncio
import os
from typing import Any

NAME = os.environ.get("GENERATION", "0").encode() + b"\n"


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """One connection's scope."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    elif scope["type"] == "websocket":
        await _websocket(receive, send)
    elif scope["path"].startswith("/stream/"):
        await _stream(scope["path"], send)
    elif scope["path"] == "/unread":
        await _whole(send, NAME)
    else:
        await _whole(send, NAME + await _body(receive))


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _websocket(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _body(receive: Any) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


async def _whole(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(path: str, send: Any) -> None:
    parts, pause = (int(word) for word in path.split("/")[2:])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": NAME, "more_body": True})
    for number in range(parts):
        await asyncio.sleep(pause / 1000)
        await send({"type": "http.response.body", "body": b"%d\n" % number, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
