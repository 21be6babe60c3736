"""The import contracts of pyproject.toml refuse what they are there to refuse."""

import subprocess
import sys
from pathlib import Path

import pytest
from tools.findings import ROOT

LINTER = Path(sys.executable).with_name("lint-imports")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """An empty house: every room that is built, with two styles, and the project's contracts."""
    for source in (ROOT / "src/mikoshi").iterdir():
        if (source / "__init__.py").exists():
            add(tmp_path, f"{source.name}/__init__.py")
    for name in (
        "__init__.py",
        "styles/push/__init__.py",
        "styles/pull/__init__.py",
        "adapters/transports/__init__.py",
    ):
        add(tmp_path, name)
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return tmp_path


def add(root: Path, name: str, text: str = "") -> None:
    path = root / "mikoshi" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(LINTER), "--no-cache", "--config", "pyproject.toml"]
    environment = {"PYTHONPATH": str(root), "PYTHONSAFEPATH": "1", "COLUMNS": "200"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_an_empty_house_keeps_every_contract(house: Path) -> None:
    run = lint(house)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


def test_the_ways_that_are_open_are_kept(house: Path) -> None:
    add(house, "engine/a.py", "import mikoshi.styles.push, mikoshi.ports, mikoshi.config, mikoshi.core\n")
    add(house, "adapters/transports/a.py", "import mikoshi.node\nimport mikoshi.ports\n")
    add(house, "node/a.py", "import os\nimport mikoshi.core\n")
    run = lint(house)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("module", "imports", "contract"),
    [
        ("core/a.py", "mikoshi.config", "Imports go one way"),
        ("ports/a.py", "mikoshi.engine", "Imports go one way"),
        ("engine/a.py", "mikoshi.cli", "Imports go one way"),
        ("node/a.py", "mikoshi.ports", "Imports go one way"),
        ("styles/push/a.py", "mikoshi.adapters", "Imports go one way"),
        ("cli/a.py", "mikoshi.testing", "Imports go one way"),
        ("garage/__init__.py", "mikoshi.core", "Imports go one way"),
        ("adapters/a.py", "mikoshi.config", "Adapters take values, not the configuration"),
        ("engine/a.py", "mikoshi.node", "Only the agent, wiring and the transports know the node engine"),
        ("styles/push/a.py", "mikoshi.styles.pull", "Styles do not know each other"),
        ("core/a.py", "os", "Core has no effects and reads no clock, randomness or system"),
        ("core/a.py", "time", "Core has no effects and reads no clock, randomness or system"),
        ("core/a.py", "logging", "Core has no effects and reads no clock, randomness or system"),
    ],
)
def test_a_way_that_is_closed_breaks_its_contract(house: Path, module: str, imports: str, contract: str) -> None:
    add(house, module, f"import {imports}\n")
    run = lint(house)
    assert run.returncode == 1, run.stdout + run.stderr
    assert f"{contract} BROKEN" in run.stdout
