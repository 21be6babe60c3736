"""Tests here may start real SSH servers."""

from tests.contract.ssh_client import shared
from tests.host_fixtures import fleet, start_host

__all__ = ["fleet", "shared", "start_host"]
