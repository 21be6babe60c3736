"""What git knows of a source: its commit, its uncommitted changes, and the files of any commit.

A commit is written out as a fresh clone would have it: line endings and filters as .gitattributes and the filters
installed here say, submodules included, no export attributes. See docs/decisions/0012-source-from-a-git-ref.md. The
repository, its index and its work tree are never changed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from mikoshi.core.errors import NotPackable, RefUnknown, last_lines
from mikoshi.packing.repository import enclosing_repository

_SUBMODULE = b"160000"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
# A person's own settings must not decide what a commit holds.
_NEUTRAL = (
    "-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "core.symlinks=true", "-c", "core.fileMode=true",
    "-c", "core.sparseCheckout=false", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false",
)  # fmt: skip


# A hook that deploys has these set for the repository it runs in; each call here names its own.
_REPOSITORY_VARIABLES = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_WORK_TREE",
    }
)


class GitFailed(Exception):
    """git ended with an error, or is not installed; the text is its own last line. `status` is its exit status."""

    def __init__(self, reason: str, status: int = -1) -> None:
        super().__init__(reason)
        self.status = status


def head(directory: Path) -> str:
    """The id of the commit that is checked out. Raises GitFailed.

    "" outside git, before the first commit, and where the commit has nothing of `directory`: it says nothing of it.
    """
    if enclosing_repository(directory) is None:
        return ""
    try:
        _git(directory, "rev-parse", "--verify", "--quiet", "HEAD:./")
        return _git(directory, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
    except GitFailed as error:
        if error.status == 1:  # --quiet: there is no commit yet; whatever else is wrong ends with 128
            return ""
        raise


def commit_of(directory: Path, ref: str) -> str:
    """The id of the commit that `ref` names. Raises RefUnknown."""
    try:
        return _git(directory, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}").decode().strip()
    except GitFailed as error:
        raise RefUnknown(ref, str(error)) from error


def tracked_but_ignored(directory: Path) -> list[str]:
    """Paths below `directory`, relative to it, that git tracks and ignore files name. Raises GitFailed."""
    output = _git(directory, "ls-files", "--cached", "--ignored", "--exclude-standard", "-z", "--", ".")
    return [path.decode("utf-8", "backslashreplace") for path in output.split(b"\0") if path]


def uncommitted(directory: Path) -> list[str]:
    """Paths below `directory` that differ from the commit or are not in it (ignored ones apart), relative to it.

    Mikoshi's own state does not count. Raises GitFailed.
    """
    # --no-optional-locks: looking must not compete with a person's own git command.
    output = _git(
        directory, "--no-optional-locks", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all",
        "--ignore-submodules=none", "--", ".", ":(exclude).mikoshi",
    )  # fmt: skip
    prefix = _git(directory, "rev-parse", "--show-prefix").rstrip(b"\n")
    paths = [item[3:].removeprefix(prefix) for item in output.split(b"\0") if item]
    return [path.decode("utf-8", "backslashreplace") for path in paths]


@contextlib.contextmanager
def checked_out(directory: Path, ref: str, commit: str, scratch: Path) -> Iterator[Path]:
    """The directory as `commit` has it, in a temporary place below `scratch` that is removed afterwards.

    Ignore and attribute files of the directories above it are written out too. Raises RefUnknown if git cannot, if
    `directory` is not in that commit, or a submodule's commit is not here; NotPackable for a file that git LFS keeps.
    """
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="ref-") as place:
        top = Path(place) / "tree"
        top.mkdir()
        try:
            prefix = os.fsdecode(_git(directory, "rev-parse", "--show-prefix").removesuffix(b"\n")).rstrip("/")
            _Checkout(directory, commit, top, Path(place)).write(prefix)
        except GitFailed as error:
            raise RefUnknown(ref, str(error)) from error
        (top / prefix).mkdir(parents=True, exist_ok=True)
        (top / ".git").mkdir()  # ignore rules hold up to here, as they do in the repository
        yield top / prefix


class _Checkout:
    """One commit of one repository on its way to the directory `top`; an index file of its own goes to `place`."""

    def __init__(self, repository: Path, commit: str, top: Path, place: Path) -> None:
        def path_of(what: str) -> str:
            return os.fsdecode(_git(repository, "rev-parse", what).removesuffix(b"\n"))

        self._root = Path(path_of("--show-toplevel"))
        self._commit = commit
        self._top = top
        self._place = place
        self._environment = {
            "GIT_DIR": path_of("--absolute-git-dir"),
            "GIT_WORK_TREE": str(top),
            "GIT_INDEX_FILE": str(place / f"index-{len(list(place.iterdir()))}"),
        }

    def write(self, prefix: str) -> None:
        """Write out what stands at `prefix` ("" for all), and the submodules there."""
        rows = self._run("ls-tree", "-r", "-z", "--full-tree", self._commit, *(_with_rules_above(prefix)))
        if not rows:
            raise GitFailed(f"{prefix or 'the commit'} has no files in {self._commit[:12]}")
        self._run("update-index", "-z", "--index-info", stdin=rows)
        self._run(*_NEUTRAL, "checkout-index", "--all", "--force")
        self._refuse_pointers()
        for row in rows.split(b"\0"):
            fields, _, path = row.partition(b"\t")
            if fields.startswith(_SUBMODULE):
                self._write_submodule(os.fsdecode(path), fields.split()[2].decode())

    def _write_submodule(self, path: str, commit: str) -> None:
        if not (self._root / path / ".git").exists():
            raise GitFailed(f"submodule {path} is not checked out here (git submodule update --init --recursive)")
        target = self._top / path
        target.mkdir(parents=True, exist_ok=True)
        _Checkout(self._root / path, commit, target, self._place).write("")

    def _refuse_pointers(self) -> None:
        """A pointer in place of the content would be deployed as if it were the content."""
        for name in self._run("ls-files", "-z", "--", ":(attr:filter=lfs)").split(b"\0"):
            file = self._top / os.fsdecode(name)
            if name and file.is_file():
                with file.open("rb") as content:
                    if content.read(len(_LFS_POINTER)) == _LFS_POINTER:
                        shown = name.decode("utf-8", "backslashreplace")
                        raise NotPackable(shown, "git-lfs is not set up here, so that git has only a pointer to it")

    def _run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return _git(self._top, *arguments, stdin=stdin, environment=self._environment)


def _with_rules_above(prefix: str) -> list[str]:
    if not prefix:
        return []
    above = ["", *(prefix[: index + 1] for index, character in enumerate(prefix) if character == "/")]
    return [prefix, *(f"{base}{name}" for base in above for name in (".gitignore", ".gitattributes"))]


def _git(directory: Path, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
    """What git prints. Raises GitFailed."""
    inherited = {name: value for name, value in os.environ.items() if name not in _REPOSITORY_VARIABLES}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=directory,
            input=stdin,
            env={**inherited, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(environment or {})},
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise GitFailed("git is not installed") from None
    if done.returncode != 0:
        lines = last_lines(done.stderr.decode("utf-8", "replace"), 1)
        reason = lines[0].removeprefix("fatal: ") if lines else f"git {arguments[0]} failed"
        raise GitFailed(reason, done.returncode)
    return done.stdout
