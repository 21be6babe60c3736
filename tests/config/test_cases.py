"""Every configuration in tests/cases/config gives exactly the problems written beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.reading import problems_of

CASES = sorted((Path(__file__).parents[1] / "cases" / "config").glob("*.toml"))


def test_there_are_cases_and_each_expects_something() -> None:
    assert len(CASES) >= 10
    assert all(case.with_suffix(".txt").read_text(encoding="utf-8") for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_wrong_configuration_gives_all_its_problems_with_their_lines(case: Path) -> None:
    expected = case.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    assert problems_of(case.read_bytes()) == expected


def test_what_may_be_a_secret_is_in_no_problem() -> None:
    canary = "hunter2-canary"
    for text in (
        f'[defaults]\nsecrets = ["A={canary}"]',
        f'[defaults]\nsecrets = "{canary}"',
        f'[defaults]\nsecrets = {{ KEY = "{canary}" }}',
    ):
        found = problems_of(f'app = "shop"\n{text}\n[env.x]\nhosts = ["local"]\n')
        assert len(found) == 1
        assert canary not in found[0]
