"""Asks the nodes over HTTP all the time while a command runs: they say themselves what they run."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_PAUSE = 0.02
_LIMIT = 10.0


@dataclass(frozen=True)
class Answer:
    """One answer of a node, after so many seconds; `deployment` 0 and `page` "" mean that there was none."""

    node: str
    seconds: float
    deployment: int
    page: str


@dataclass(frozen=True)
class Seen:
    """All that one node answered while it was watched, in order. There is at least one answer at either end."""

    node: str
    answers: tuple[Answer, ...]

    @property
    def by(self) -> Counter[int]:
        """How many answers came from each deployment; those of 0 were none."""
        return Counter(answer.deployment for answer in self.answers)

    @property
    def pages(self) -> set[tuple[int, str]]:
        """Which deployment said what."""
        return {(answer.deployment, answer.page) for answer in self.answers if answer.deployment}

    @property
    def unanswered(self) -> int:
        """How many requests had no answer."""
        return self.by[0]

    @property
    def slowest(self) -> float:
        """How long the slowest answer took, in seconds; 0 if there was none."""
        return max((answer.seconds for answer in self.answers if answer.deployment), default=0.0)


def ask(node: str, port: int) -> Answer:
    """Ask a node once."""
    began = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT)
    try:
        connection.request("GET", "/")
        response = connection.getresponse()
        page = response.read().decode().strip()
        return Answer(node, time.monotonic() - began, int(response.headers.get("X-Deployment", "0")), page)
    except (OSError, http.client.HTTPException):
        # No answer is what is told here: refused, reset and timed out alike.
        return Answer(node, time.monotonic() - began, 0, "")
    finally:
        connection.close()


class Watch:
    """Asks every node again and again for the time of a `with` block; then `seen` has the answers."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports
        self._answers: dict[str, list[Answer]] = {node: [] for node in ports}
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(node,), daemon=True) for node in ports]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def seen(self) -> list[Seen]:
        """What each node answered."""
        return [Seen(node, tuple(answers)) for node, answers in self._answers.items()]

    def _watch(self, node: str) -> None:
        while True:
            over = self._over.is_set()
            self._answers[node].append(ask(node, self._ports[node]))
            if over:
                return
            self._over.wait(_PAUSE)
