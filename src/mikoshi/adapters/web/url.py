"""The URL of a site, taken apart once, so that nothing about it can be wrong later."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from mikoshi.core.errors import WrongUsage

_EXAMPLE = "https://shop.example.com/up"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Url:
    """Where to connect and what to ask for. `host` has no brackets; `authority` is what the Host header says."""

    secure: bool
    host: str
    port: int
    authority: str
    target: str


def parsed(text: str) -> Url:
    """The URL in parts. Raises WrongUsage for what is not an http or https URL that can be asked."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _wrong(text, f"({error})") from error
    if parts.scheme not in _PORTS or not parts.hostname or re.search(r"[\s\x00-\x1f\x7f]", text):
        raise _wrong(text, "")
    if parts.username is not None or parts.password is not None:
        raise WrongUsage("the probe's URL must not hold a user or a password: probe a page that needs none")
    try:
        host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
    except UnicodeError as error:
        raise _wrong(text, "(its host is no name)") from error
    authority = f"[{host}]" if ":" in host else host
    if port is not None and port != _PORTS[parts.scheme]:
        authority += f":{port}"
    query = f"?{parts.query}" if parts.query else ""
    target = quote((parts.path or "/") + query, safe="!#$%&'()*+,/:;=?@[]~")
    return Url(parts.scheme == "https", host, port or _PORTS[parts.scheme], authority, target)


def _wrong(text: str, why: str) -> WrongUsage:
    return WrongUsage(f"the probe cannot ask {text!r} {why}".rstrip() + f": it needs a URL like {_EXAMPLE}")
