"""Where a directory stands in a git repository, found without running git.

Only for ignore rules: an application may be a subdirectory of its repository, whose ignore files hold for it too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Repository:
    """The work tree around a directory. `exclude` is the repository's own ignore file, which may not exist."""

    root: Path
    exclude: Path


def enclosing_repository(directory: Path) -> Repository | None:
    """The repository whose work tree holds `directory`, or None."""
    start = directory.resolve()
    for root in (start, *start.parents):
        mark = root / ".git"
        if mark.is_dir():
            return Repository(root, mark / "info" / "exclude")
        if mark.is_file():
            return Repository(root, _common_directory(mark) / "info" / "exclude")
    return None


def _common_directory(mark: Path) -> Path:
    """The directory that all work trees of a repository share, from the `.git` file of a linked work tree."""
    pointer = mark.read_text(encoding="utf-8", errors="surrogateescape").removeprefix("gitdir:").strip()
    private = Path(os.path.join(mark.parent, pointer))
    common = private / "commondir"
    if not common.is_file():
        return private
    return Path(os.path.join(private, common.read_text(encoding="utf-8", errors="surrogateescape").strip()))
