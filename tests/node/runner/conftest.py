"""A place for an application that the runner keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.runner.ground import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An environment without anything in it; every process of it ends with the test."""
    made = Site(tmp_path)
    try:
        yield made
    finally:
        made.close()
