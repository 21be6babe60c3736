"""Finds mikoshi.toml, reads it and gives each environment as typed values.

All problems of the file, in every environment, are reported at once. No server is touched, nothing is run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mikoshi.config.build import environment_of
from mikoshi.config.check import checked
from mikoshi.config.consistency import check_environments, check_levels
from mikoshi.config.document import Node, read_document
from mikoshi.config.levels import Levels, levels_of
from mikoshi.config.merge import table
from mikoshi.config.model import Environment
from mikoshi.config.problems import Place, Problems
from mikoshi.config.secrets import default_secrets, secrets_problems
from mikoshi.config.sections.document import DOCUMENT
from mikoshi.config.show import Row, rows_of, toml_value
from mikoshi.core.errors import ConfigInvalid, ConfigMissing, EnvironmentUnknown

FILE = "mikoshi.toml"


@dataclass(frozen=True)
class Configuration:
    """A mikoshi.toml without problems. `file` is its path, `shown_as` that path as people see it."""

    app: str
    file: Path
    shown_as: str
    document: Node
    levels: Mapping[str, Levels]

    @property
    def root(self) -> Path:
        """The directory of mikoshi.toml: the application."""
        return self.file.parent

    @property
    def environments(self) -> tuple[str, ...]:
        """The names of the environments, in the order of the file."""
        return tuple(self.levels)

    def environment(self, name: str) -> Environment:
        """Everything about one environment, merged and complete. Raises EnvironmentUnknown."""
        return environment_of(self.app, self.root, self.document.get("release"), self._levels(name))

    def show(self, name: str) -> list[Row]:
        """Every value of one environment with its origin. Raises EnvironmentUnknown."""
        environment = self.environment(name)
        derived = {"anchor": environment.anchor, "secrets_from": default_secrets(name)}
        return rows_of(self.document, self._levels(name), self.shown_as, derived)

    def check(self) -> list[str]:
        """What is wrong with the files that mikoshi.toml names, in any environment: one line each, none twice."""
        found = [problem for name in self.levels for problem in self._file_problems(name)]
        return list(dict.fromkeys(found))

    def _file_problems(self, name: str) -> Iterator[str]:
        environment, settings = self.environment(name), self._levels(name).settings
        ssh = settings.get("ssh")
        named = {settings.get("secrets_from"): environment.secrets_from}
        named[ssh.get("config") if ssh else None] = environment.ssh.config
        for node, path in named.items():
            if node is not None and path is not None and not path.is_file():
                place = f"{self.shown_as}:{node.place.line}: {node.place.path}"
                yield f"{place}: there is no file {toml_value(str(path))}"
        yield from secrets_problems(environment)

    def _levels(self, name: str) -> Levels:
        if name not in self.levels:
            raise EnvironmentUnknown(name=name, known=list(self.levels))
        return self.levels[name]


def find(start: Path) -> Path:
    """The mikoshi.toml of `start` or of the nearest directory above it. Raises ConfigMissing."""
    directory = start.absolute()
    for candidate in (directory, *directory.parents):
        if (candidate / FILE).is_file():
            return candidate / FILE
    raise ConfigMissing(directory=str(start))


def load(start: Path) -> Configuration:
    """The configuration for somebody who works in `start`. Raises ConfigMissing, ConfigInvalid with all problems."""
    file = find(start)
    shown_as = os.path.relpath(file, start.absolute())
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigInvalid(problems=[f"{shown_as}: cannot be read: {error.strerror}"]) from error
    return read(data, file, shown_as)


def read(data: bytes, file: Path, shown_as: str = FILE) -> Configuration:
    """The configuration that `data` holds. Raises ConfigInvalid with all problems."""
    problems = Problems()
    raw = read_document(data, problems)
    if raw is None:
        raise ConfigInvalid(problems=problems.shown(shown_as))
    document = checked(DOCUMENT, raw, problems)
    levels = {name: levels_of(document, name, section) for name, section in table(document.get("env")).items()}
    _check_whole(document, problems)
    for one in levels.values():
        check_levels(one, problems)
    check_environments(levels.values(), problems)
    if problems.found:
        raise ConfigInvalid(problems=problems.shown(shown_as))
    return Configuration(
        app=document.value["app"].parsed, file=file, shown_as=shown_as, document=document, levels=levels
    )


def _check_whole(document: Node, problems: Problems) -> None:
    if "app" not in document.value:
        problems.add(Place(1, "app"), 'missing; expected the name of the application, like app = "shop"')
    environments = document.value.get("env")
    if environments is None or not (environments.bad or environments.value):
        problems.add(Place(1, "env"), "missing; expected at least one environment, like [env.production]")
