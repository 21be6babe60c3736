"""Where build steps run: here, or on a host whose platform is the nodes'. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mikoshi.core.address import Address

LOCAL, AUTO, HOSTS = "local", "auto", "hosts"
_SCHEME = "ssh://"


@dataclass(frozen=True)
class BuildSite:
    """The address to build on, None for this machine. `platform` "" has to be asked there."""

    address: Address | None = None
    platform: str = ""


def build_site(build_on: str, has_steps: bool, local: str, nodes: Mapping[Address, str]) -> BuildSite:
    """Where to build.

    `nodes` are the platforms of the nodes, in the configuration's order, and `local` is this machine's. "auto" builds
    here if that suits every node, else on the first host of the platform that most nodes have; "hosts" always on that
    host; "ssh://user@host:port" there; "local" here.
    """
    if not has_steps or build_on == LOCAL or (build_on in (AUTO, HOSTS) and not nodes):
        return BuildSite(None, local)
    if build_on.startswith(_SCHEME):
        return BuildSite(_address(build_on))
    platforms = list(nodes.values())
    if build_on == AUTO and all(platform == local for platform in platforms):
        return BuildSite(None, local)
    common = max(platforms, key=platforms.count)
    chosen = next(address for address, platform in nodes.items() if platform == common)
    return BuildSite(None if chosen.local else chosen, common)


def _address(url: str) -> Address:
    """The address in `ssh://user@host:port`; user and port may be missing, an IPv6 host stands in brackets."""
    user, _, place = url.removeprefix(_SCHEME).rstrip("/").rpartition("@")
    host, port = place, ""
    if place.startswith("["):
        host, _, rest = place[1:].partition("]")
        port = rest.removeprefix(":")
    elif ":" in place:
        host, _, port = place.rpartition(":")
    return Address(name=url, host=host, port=int(port) if port else 0, user=user)
