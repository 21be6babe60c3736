"""The archive of the engine: the same everywhere, small, and complete without the installed package."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mikoshi.adapters.transports.engine_zip import SIZE_LIMIT, node_engine, pack_engine

MEMBERS = st.dictionaries(st.from_regex(r"[a-z]{1,8}\.py", fullmatch=True), st.binary(max_size=50), max_size=6)


@given(MEMBERS, st.randoms())
def test_the_order_of_files_does_not_show(members: dict[str, bytes], random: object) -> None:
    shuffled = dict(sorted(members.items(), key=lambda item: hash((item, random))))
    assert pack_engine(shuffled).content == pack_engine(members).content


def test_another_content_has_another_digest() -> None:
    assert pack_engine({"a.py": b"1"}).digest != pack_engine({"a.py": b"2"}).digest


def test_the_engine_travels_in_less_than_200_kb() -> None:
    assert len(node_engine().wire) < SIZE_LIMIT


def test_it_holds_core_node_and_drain_and_nothing_else() -> None:
    names = zipfile.ZipFile(io.BytesIO(node_engine().content)).namelist()
    assert {"__main__.py", "mikoshi/__init__.py", "mikoshi/core/frames.py", "mikoshi/node/__main__.py"} <= set(names)
    allowed = ("mikoshi/core/", "mikoshi/node/", "mikoshi/drain/")
    assert [name for name in names if not name.startswith(allowed)] == ["__main__.py", "mikoshi/__init__.py"]


def test_it_starts_alone_and_ends_well_with_its_input(tmp_path: Path) -> None:
    (tmp_path / "engine.zip").write_bytes(node_engine().content)
    command = [sys.executable, "-I", "-S", "-W", "error", str(tmp_path / "engine.zip")]
    done = subprocess.run(command, input=b"", capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
