"""Addresses: what a process listens on, and where a node is."""

from __future__ import annotations

import ipaddress
import re

from mikoshi.config.problems import Unexpected
from mikoshi.core.address import Address

LISTEN = 'a port like 8080, or an address with a port like "0.0.0.0:8080" or "[::]:8080"'
HOST = 'a host like "deploy@web1.example.com", with a port "web1.example.com:2222", or "local"'
_LOOPBACK = "127.0.0.1"
_LISTEN = re.compile(r"(?:\[(?P<six>[^\]]*)\]|(?P<four>[^:\[\]]*)):(?P<port>\d{1,5})")
# No part may begin with "-": the system's ssh would take it for an option.
_HOST = re.compile(
    r"(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.\\+$-]*)@)?"
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?)\]|(?P<host>[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?))"
    r"(?::(?P<port>\d{1,5}))?"
)
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def _port(value: str | int, expected: str) -> int:
    if not 1 <= int(value) <= 65535:
        raise Unexpected(expected, "a port is from 1 to 65535")
    return int(value)


def listen(value: object) -> str:
    """ "ADDRESS:PORT". A port alone is loopback: nothing is opened to the world by leaving something out."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{_LOOPBACK}:{_port(value, LISTEN)}"
    match = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Unexpected(LISTEN)
    port = _port(match["port"], LISTEN)
    try:
        if match["six"] is not None:
            return f"[{ipaddress.IPv6Address(match['six'])}]:{port}"
        return f"{ipaddress.IPv4Address(match['four'])}:{port}"
    except ValueError as error:
        raise Unexpected(LISTEN, "the address is one of this machine's IP addresses") from error


def host(value: object) -> Address:
    """A node: `local`, `local/NAME`, or `[ssh://][user@]host[:port]` with IPv6 addresses in brackets.

    Its name is the host, with the port if one is given: what people call it.
    """
    if not isinstance(value, str):
        raise Unexpected(HOST)
    if value == "local":
        return Address(name="local")
    if value.startswith("local/"):
        label = value.removeprefix("local/")
        if not _LABEL.fullmatch(label):
            raise Unexpected(HOST, 'a name after "local/" has small letters, digits and "-"')
        return Address(name=value, label=label)
    return _remote(value)


def _remote(value: str) -> Address:
    plain = value.removeprefix("ssh://").removesuffix("/") if value.startswith("ssh://") else value
    match = _HOST.fullmatch(plain)
    if match is None:
        bare = value.rpartition("@")[2]
        raise Unexpected(HOST, f'an IPv6 address has brackets: "[{bare}]"' if bare.count(":") > 1 else "")
    if match["six"] is not None:
        try:
            address = str(ipaddress.IPv6Address(match["six"]))
        except ValueError as error:
            raise Unexpected(HOST, "in the brackets there is no IPv6 address") from error
        name = f"[{address}]"
    else:
        name = address = match["host"]
    port = _port(match["port"], HOST) if match["port"] else 0
    return Address(name=f"{name}:{port}" if port else name, host=address, port=port, user=match["user"] or "")


def same_node(address: Address) -> tuple[str, int, str]:
    """What two addresses have in common if they lead to one node, whatever user they name."""
    return (address.host.lower().rstrip("."), address.port or 22, address.label)
