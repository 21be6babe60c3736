"""The examples without a server: their configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from mikoshi.config.configuration import load

EXAMPLES = Path(__file__).parents[2] / "examples"
DIRECTORIES = sorted(path.parent for path in EXAMPLES.glob("*/mikoshi.toml"))


@pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: path.name)
def test_an_examples_configuration_has_no_problem_and_can_be_tried_on_this_machine(directory: Path) -> None:
    configuration = load(directory)
    assert configuration.check() == []
    assert configuration.environments == ("production", "local")
    assert all(host.address.local for host in configuration.environment("local").hosts)
    assert (directory / "README.md").read_text().startswith("# ")


def test_the_examples_are_the_ones_that_the_overview_names() -> None:
    overview = (EXAMPLES / "README.md").read_text()
    assert len(DIRECTORIES) == 4
    assert all(f"({directory.name}/README.md)" in overview for directory in DIRECTORIES)
