"""Cutting by content: a byte inserted changes the chunks around it, and memory does not grow with the file."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
from pathlib import Path

import pytest

from mikoshi.core.frames import MAX_CHUNK
from mikoshi.packing.chunk import LARGEST, SMALLEST, cut, needs_cutting
from tests.packing.sources import Packing, write_tree

MIB = 1 << 20


def new_bytes(size: int, at: int) -> int:
    """How many bytes of chunks a byte inserted at `at` makes new."""
    data = random.Random(size).randbytes(size)
    _, before = cut(io.BytesIO(data))
    _, after = cut(io.BytesIO(data[:at] + b"!" + data[at:]))
    held = {chunk.digest for chunk in before}
    return sum(chunk.size for chunk in after if chunk.digest not in held)


def test_chunks_add_up_to_the_file_and_have_its_digests() -> None:
    data = random.Random(1).randbytes(5 * MIB)
    digest, chunks = cut(io.BytesIO(data))
    assert digest == hashlib.sha256(data).hexdigest()
    at = 0
    for chunk in chunks:
        assert chunk.digest == hashlib.sha256(data[at : at + chunk.size]).hexdigest()
        at += chunk.size
    assert at == len(data)
    assert all(SMALLEST <= chunk.size <= LARGEST for chunk in chunks[:-1])
    assert LARGEST <= MAX_CHUNK
    assert 20 <= len(chunks) <= 60


def test_cuts_of_known_content_never_move() -> None:
    """Other cuts would make every node hold every large file twice."""
    _, chunks = cut(io.BytesIO(random.Random(2).randbytes(MIB)))
    assert [chunk.size for chunk in chunks] == [239553, 170718, 181361, 161116, 237007, 58821]


@pytest.mark.parametrize("at", [0, 1, 10 * MIB, 20 * MIB])
def test_a_byte_inserted_into_a_large_file_makes_less_than_a_mebibyte_new(at: int) -> None:
    assert new_bytes(20 * MIB, at) < MIB


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_byte_inserted_into_200_megabytes_makes_less_than_a_mebibyte_new() -> None:
    for at in (0, 77_777_777, 200_000_000):
        assert new_bytes(200_000_000, at) < MIB


def test_only_files_of_more_than_one_chunk_are_indexed(packing: Packing) -> None:
    write_tree(packing.source, {"largest": bytes(LARGEST), "larger": bytes(LARGEST + 1), "empty": ""})
    packed = packing.pack()
    (larger,) = (entry for entry in packed.manifest.files() if entry.path == "larger")
    assert list(packed.index.files) == [larger.digest]
    assert not needs_cutting(LARGEST)


def test_a_large_file_is_cut_once(packing: Packing, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(packing.source, {"large": random.Random(3).randbytes(2 * MIB)})
    before = packing.pack()
    write_tree(packing.source, {"other": "1"})
    monkeypatch.setattr("mikoshi.packing.library.cut", lambda _stream: pytest.fail("cut again"))
    assert packing.pack().index == before.index


PEAK = """
import sys
from pathlib import Path
from mikoshi.config.model import ReleaseConfig
from mikoshi.packing.library import Library
from mikoshi.packing.pack import Occasion, Source, pack
root = Path(sys.argv[1])
occasion, library = Occasion("a", "e", "m", 1.0), Library(root / "library")
packed = pack(Source(root / "source"), ReleaseConfig(), (), occasion, library, root / "cache")
assert len(packed.index.files) == 1
# Not getrusage: its maximum survives exec and would be the test runner's.
(high_water,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(int(high_water.split()[1]) // 1024)
"""


def peak(packing: Packing, size: int) -> int:
    """Peak memory in MiB of a process that packs a file of `size` bytes."""
    with (packing.source / "large").open("wb") as file:
        noise = random.Random(4)
        for _ in range(size // MIB):
            file.write(noise.randbytes(MIB))
    command = [sys.executable, "-c", PEAK, str(packing.root)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_memory_does_not_grow_with_the_file(packing: Packing) -> None:
    assert peak(packing, 100 * MIB) < 80


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_two_gigabytes_are_packed_in_less_than_200_mebibytes_of_memory(packing: Packing) -> None:
    assert peak(packing, 2048 * MIB) < 200


def test_the_library_holds_what_was_cut(packing: Packing, tmp_path: Path) -> None:
    data = random.Random(5).randbytes(3 * MIB)
    write_tree(packing.source, {"large": data})
    packed = packing.pack()
    (packing.root / "library/chunks" / hashlib.sha256(data).hexdigest()).write_bytes(b"{}")
    assert packing.pack().index == packed.index
