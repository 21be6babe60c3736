"""Servers as users have them, kept by the runner and swapped by `mikoshi deploy` under load: nothing may be lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bench.handover import Load, Result, measure, ways
from bench.loader import failures, generations

QUICK = ("gunicorn sync", "uvicorn, drain", "Node, drain")
CLASS_A = tuple(way.name for way in ways() if way.kind == "A")


def check(result: Result, swaps: int) -> None:
    """Nothing was lost, and every version was seen."""
    lost = failures(result.samples)
    assert lost == [], [(sample.profile, sample.outcome, sample.detail) for sample in lost[:5]]
    assert set(generations(result.samples)) == {str(version) for version in range(1, swaps + 2)}
    profiles = {sample.profile for sample in result.samples}
    assert profiles == {"keep-alive", "fresh", "post", "stream"}


def swapped(name: str, directory: Path, swaps: int, load: Load | None, pause: float, requests: int) -> Result:
    """Measure one way."""
    (way,) = [one for one in ways() if one.name == name]
    return asyncio.run(measure(way, directory, swaps, load, pause, requests))


@pytest.mark.serial
@pytest.mark.needs("node")
@pytest.mark.parametrize("name", QUICK)
def test_five_swaps_lose_no_request(tmp_path: Path, name: str) -> None:
    check(swapped(name, tmp_path, 5, Load(60, streamed=2.0), 0.5, 0), 5)


@pytest.mark.soak
@pytest.mark.needs("node", "starlet")
@pytest.mark.parametrize("name", CLASS_A)
def test_twenty_swaps_of_every_server_lose_no_request(tmp_path: Path, name: str) -> None:
    check(swapped(name, tmp_path, 20, None, 2.0, 1000), 20)
