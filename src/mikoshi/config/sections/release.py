"""`[release]`: what is packed and how it is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mikoshi.config.model import BuildStep, ReleaseConfig
from mikoshi.config.schema import Items, Leaf, Table
from mikoshi.config.values.paths import inside_tree
from mikoshi.config.values.text import build_place, command, pattern

_PATHS = Items(Leaf(inside_tree), "a list of paths")
RELEASE = Table(
    {
        "exclude": Items(Leaf(pattern), "a list of patterns"),
        "build_on": Leaf(build_place, "auto"),
        "build": Items(
            Table({"run": Leaf(command), "inputs": _PATHS, "outputs": _PATHS}, required=("run",)),
            "tables headed [[release.build]]",
        ),
    }
)


def release_of(table: Mapping[str, Any]) -> ReleaseConfig:
    """The release section from its table."""
    return ReleaseConfig(
        exclude=tuple(table["exclude"]),
        build_on=table["build_on"],
        build=tuple(
            BuildStep(run=step["run"], inputs=tuple(step["inputs"]), outputs=tuple(step["outputs"]))
            for step in table["build"]
        ),
    )
