"""A place for an application that the runner keeps, as the runner's own tests have it."""

from __future__ import annotations

from tests.node.runner.conftest import site as site  # noqa: PLC0414 - a fixture for this directory
