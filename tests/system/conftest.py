"""Tests here may start real SSH servers."""

from tests.host_fixtures import fleet, start_host

__all__ = ["fleet", "start_host"]
