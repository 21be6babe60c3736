"""Engines for tests: each in a process of its own, ended with the test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.node.client import APP, ENV, Engine

Start = Callable[[], Engine]


def poll(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts engines."""
    running: list[Engine] = []

    def begin() -> Engine:
        running.append(Engine())
        return running[-1]

    yield begin
    for engine in running:
        if engine.process.poll() is None:
            engine.process.kill()
        engine.close()


@pytest.fixture
def engine(start: Start, tmp_path: Path) -> Engine:
    """One engine that has the lease on the environment below `tmp_path`."""
    begun = start()
    begun.begin(tmp_path)
    return begun


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The environment's directory."""
    return tmp_path / APP / ENV
