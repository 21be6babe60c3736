"""One GET request to a site, as the probe needs it: what became of it, and never an exception for a site's failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

# How a request fails. Before there is a connection: the name is not known, nobody listens, no way leads there.
DNS, REFUSED, UNREACHABLE, TLS = "dns", "refused", "unreachable", "tls"
# On a connection: cut by the other side, ended by it before the answer was complete, or no answer in time.
RESET, CLOSED_EARLY, TIMEOUT = "reset", "closed_early", "timeout"
# An answer, but no good one: not HTTP, or a status from 500 on.
NOT_HTTP, SERVER_ERROR = "not_http", "server_error"
# 400 to 499 where the site used to answer better: the probe's own judgement, no adapter says it.
CLIENT_ERROR = "client_error"
# Too many requests were under way: this one was not sent. And what has no name here.
NOT_SENT, OTHER = "not_sent", "other"
KINDS = (
    DNS, REFUSED, UNREACHABLE, TLS, RESET, CLOSED_EARLY, TIMEOUT, NOT_HTTP, SERVER_ERROR, CLIENT_ERROR, NOT_SENT, OTHER,
)  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What became of a request: `failed` is one of KINDS, "" for a complete answer with a status below 500.

    `status` is 0 and `named` "" if there was no complete answer; `named` is the value of the header that names the
    deployment. `kept` says that an earlier request had used the connection.
    """

    failed: str = ""
    status: int = 0
    named: str = ""
    kept: bool = False


class Site(Protocol):
    """One URL to ask."""

    async def get(self, *, fresh: bool) -> Answer:
        """Ask once: on a connection of its own, or (not `fresh`) on one that is kept if there is any."""
        ...

    async def close(self) -> None:
        """Close the connections that are kept."""
        ...
