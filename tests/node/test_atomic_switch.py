"""A process that starts at any moment of a switch finds code and settings of one deployment."""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path

from mikoshi.core import messages
from mikoshi.node import envfile
from tests.node.client import Engine, build
from tests.node.conftest import poll

SWITCHES = 60


class Starting(threading.Thread):
    """Does again and again what a starting process does: enter `current` once, read code there and settings beside."""

    def __init__(self, current: Path) -> None:
        super().__init__()
        self._current = current
        self.stop = threading.Event()
        self.seen: list[tuple[str, str]] = []
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.seen.append(self._start())
        except Exception as failure:  # noqa: BLE001 - the test raises it
            self.failure = failure

    def went_on(self, begun: int) -> bool:
        return self.failure is not None or len(self.seen) > begun

    def _start(self) -> tuple[str, str]:
        directory = os.open(self._current, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return _read("app", directory).decode(), envfile.decode(_read("../env", directory))["MIKOSHI_SEQ"]
        finally:
            os.close(directory)


def _read(name: str, directory: int) -> bytes:
    with open(os.open(name, os.O_RDONLY, dir_fd=directory), "rb") as file:
        return file.read()


def test_code_and_settings_are_never_of_two_deployments(engine: Engine, site: Path) -> None:
    engine.deploy(1, build({"app": b"1"}))
    engine.deploy(2, build({"app": b"2"}), 1)
    starting = Starting(site / "current")
    starting.start()
    try:
        for turn in range(SWITCHES):
            begun = len(starting.seen)
            engine.call(messages.Revert(1 + turn % 2))
            poll(partial(starting.went_on, begun))
    finally:
        starting.stop.set()
        starting.join()
    assert starting.failure is None
    assert {app for app, _ in starting.seen} == {"1", "2"}
    assert [pair for pair in starting.seen if pair[0] != pair[1]] == []
