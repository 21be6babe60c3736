"""Each source check finds what it is for, and is silent where nothing is wrong."""

from pathlib import Path

import pytest
from tools.check_source import (
    FILE_LIMIT,
    FUNCTION_LIMIT,
    check_imports,
    check_purity,
    check_sizes,
    check_unfinished,
)


def module(root: Path, name: str, text: str) -> Path:
    path = root / "src/mikoshi" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return root


def test_a_file_over_the_limit_is_found_and_one_at_the_limit_is_not(tmp_path: Path) -> None:
    module(tmp_path, "fits.py", "pass\n" * FILE_LIMIT)
    module(tmp_path, "long.py", "pass\n" * (FILE_LIMIT + 1))
    assert [finding.path for finding in check_sizes(tmp_path)] == ["src/mikoshi/long.py"]


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_function_over_the_limit_is_found_and_one_at_the_limit_is_not(tmp_path: Path, keyword: str) -> None:
    body = f"{keyword} fits():\n" + "    pass\n" * (FUNCTION_LIMIT - 1)
    module(tmp_path, "a.py", body + f"class A:\n    {keyword} long():\n" + "        pass\n" * FUNCTION_LIMIT)
    [finding] = check_sizes(tmp_path)
    assert finding.message.startswith("long has")
    assert finding.line == FUNCTION_LIMIT + 2


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "XX" + "X"])
@pytest.mark.parametrize("name", ["src/mikoshi/a.py", "docs/a.md", "examples/shop/app.pl", "Makefile", ".ci/run"])
def test_unfinished_work_is_found_in_every_kind_of_file(tmp_path: Path, word: str, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"fine\n# {word}: later\nmktemp {word}{word}\n")
    [finding] = check_unfinished(tmp_path)
    assert (finding.path, finding.line) == (name, 2)


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("core", "import asyncssh"),
        ("core", "from mikoshi.node import journal"),
        ("core", "from mikoshi.core_extra import x"),
        ("node", "import rich"),
        ("node", "def f():\n    from mikoshi.config import model"),
        ("core", "if TYPE_CHECKING:\n    pass\nelse:\n    import rich"),
        ("drain", "from mikoshi.core import errors"),
        ("drain", "import click"),
    ],
)
def test_rooms_that_run_on_servers_may_not_import_beyond_what_is_named(tmp_path: Path, room: str, line: str) -> None:
    module(tmp_path, f"{room}/a.py", line + "\n")
    assert len(list(check_imports(tmp_path))) == 1


def test_what_only_type_checkers_read_is_accepted(tmp_path: Path) -> None:
    module(tmp_path, "core/a.py", "if TYPE_CHECKING:\n    from typing_extensions import dataclass_transform\n")
    assert list(check_imports(tmp_path)) == []


def test_what_these_rooms_may_import_is_accepted(tmp_path: Path) -> None:
    module(tmp_path, "core/a.py", "import json\nfrom mikoshi.core import errors\n")
    module(
        tmp_path,
        "node/a.py",
        "import os\nfrom mikoshi.core.errors import E\nfrom mikoshi.node import journal\n",
    )
    module(tmp_path, "drain/a.py", "import os, uvicorn\nfrom mikoshi.drain import settings\n")
    assert list(check_imports(tmp_path)) == []


@pytest.mark.parametrize(
    "line",
    [
        "from pathlib import Path, PurePosixPath",
        "import pathlib",
        "open('x')",
        "datetime.now(UTC)",
        "date.today()",
        "print(1)",
    ],
)
def test_core_may_not_reach_files_or_the_clock_through_harmless_modules(tmp_path: Path, line: str) -> None:
    module(tmp_path, "core/a.py", line + "\n")
    assert len(list(check_purity(tmp_path))) == 1


def test_pure_paths_and_given_times_are_accepted_in_core(tmp_path: Path) -> None:
    module(tmp_path, "core/a.py", "from pathlib import PurePosixPath\nx = datetime.fromtimestamp(now, UTC)\n")
    assert list(check_purity(tmp_path)) == []
