"""A source directory with a library beside it."""

from pathlib import Path

import pytest

from tests.packing.sources import Packing


@pytest.fixture
def packing(tmp_path: Path) -> Packing:
    """An empty source directory, and what packs it."""
    source = tmp_path / "source"
    source.mkdir()
    return Packing(source, tmp_path)
