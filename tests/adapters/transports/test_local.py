"""The local transport: the contract, and what is its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mikoshi.adapters.transports.local import LocalTransport
from mikoshi.core.address import Address
from mikoshi.core.errors import PathUnusable
from mikoshi.node.runner.units import WITHOUT
from tests.contract.remote_contract import RemoteShellContract, Shell
from tests.contract.scenario import eventually, scenario
from tests.contract.stand_in import Talk, stand_in
from tests.contract.transport_contract import TransportContract, Way, open_descriptors, process_exists

HERE = Address("here")


class TestLocalTransport(TransportContract):
    @pytest.fixture
    def way(self, tmp_path: Path) -> Way:
        return Way(lambda engine: LocalTransport(tmp_path / "cache", engine), HERE, process_exists)

    @scenario
    async def test_the_engine_runs_with_this_interpreter(self, way: Way) -> None:
        channel = await way.transport(stand_in()).open(HERE)
        assert (await Talk(channel).ask({"do": "who"}))["python"] == sys.executable
        await channel.close()

    @scenario
    async def test_nodes_that_share_this_machine_have_no_units_of_systemd(
        self, way: Way, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(WITHOUT, raising=False)
        for address, told in ((HERE, False), (Address("local/a", label="a"), True)):
            channel = await way.transport(stand_in()).open(address)
            assert (WITHOUT in (await Talk(channel).ask({"do": "who"}))["variables"]) is told
            await channel.close()

    @scenario
    async def test_nothing_is_written_outside_of_the_cache(self, way: Way, tmp_path: Path) -> None:
        channel = await way.transport(stand_in()).open(HERE)
        await channel.close()
        assert os.listdir(tmp_path) == ["cache"]
        assert os.listdir(tmp_path / "cache/engine") == [stand_in().digest]

    @scenario
    async def test_a_cache_that_cannot_be_made_is_named(self, way: Way, tmp_path: Path) -> None:
        (tmp_path / "cache").write_text("a file")
        with pytest.raises(PathUnusable) as raised:
            await way.transport(stand_in()).open(HERE)
        assert str(tmp_path / "cache") in raised.value.path
        assert raised.value.node == "here"

    @scenario
    async def test_no_descriptor_is_left_open(self, way: Way) -> None:
        transport = way.transport(stand_in())
        await (await transport.open(HERE)).close()
        before = open_descriptors()
        for _ in range(5):
            await (await transport.open(HERE)).close()
        assert await eventually(lambda: open_descriptors() <= before)


class TestLocalShell(RemoteShellContract):
    @pytest.fixture
    def shell(self, tmp_path: Path) -> Shell:
        return Shell(LocalTransport(tmp_path), HERE)
