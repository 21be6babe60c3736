"""Platforms by header, and what they make of a release."""

from __future__ import annotations

import struct
import sys

import pytest

from mikoshi.core.platforms import platform_name, runs_on
from mikoshi.packing.platform import local_platform, may_be_native, platforms_of_header, release_platform
from tests.packing.sources import Packing, write_tree


def elf(machine: int, bits: int = 2, order: int = 1, system: int = 0, kind: int = 3) -> bytes:
    """An ELF header."""
    head = b"\x7fELF" + bytes([bits, order, 1, system]) + bytes(8)
    return head + struct.pack("<HH" if order == 1 else ">HH", kind, machine) + bytes(40)


def fat(*machines: int) -> bytes:
    """A universal Mach-O header."""
    rows = b"".join(struct.pack(">IIIII", machine, 0, 0, 0, 0) for machine in machines)
    return b"\xca\xfe\xba\xbe" + struct.pack(">I", len(machines)) + rows


X86_64, ARM64 = 0x01000007, 0x0100000C


@pytest.mark.parametrize(
    ("header", "platforms"),
    [
        (elf(62), ("linux-x86_64",)),
        (elf(62, system=3, kind=2), ("linux-x86_64",)),
        (elf(183), ("linux-aarch64",)),
        (elf(40, bits=1), ("linux-armv7l",)),
        (elf(3, bits=1), ("linux-i686",)),
        (elf(243), ("linux-riscv64",)),
        (elf(21), ("linux-ppc64le",)),
        (elf(22, order=2), ("linux-s390x",)),
        (elf(62, system=9), ("freebsd-x86_64",)),
        (elf(62, kind=1), ()),  # an object file is linked, not loaded
        (elf(247), ()),  # BPF runs on any machine
        (elf(62)[:19], ()),
        (b"\xcf\xfa\xed\xfe" + struct.pack("<I", ARM64), ("darwin-arm64",)),
        (b"\xcf\xfa\xed\xfe", ()),
        (fat(X86_64, ARM64), ("darwin-arm64", "darwin-x86_64")),
        (fat(X86_64, ARM64)[:20], ()),
        (b"\xca\xfe\xba\xbe\x00\x00\x00\x41" + bytes(2000), ()),  # a Java class
        (b"MZ" + bytes(62), ()),
        (b"#!/bin/sh\n", ()),
        (b"", ()),
    ],
)
def test_a_header_names_its_platforms(header: bytes, platforms: tuple[str, ...]) -> None:
    assert platforms_of_header(header) == platforms


def test_this_interpreter_is_built_for_this_machine() -> None:
    with open(sys.executable, "rb") as file:
        assert platforms_of_header(file.read(1024)) == (local_platform(),)


@pytest.mark.parametrize(
    ("path", "mode", "native"),
    [("a.so", 0o644, True), ("lib.so.1.2", 0o644, True), ("x.node", 0o644, True), ("run", 0o755, True),
     ("download", 0o644, False), ("so", 0o644, False), ("a.so.txt", 0o644, False)],
)  # fmt: skip
def test_only_what_would_be_loaded_decides(path: str, mode: int, native: bool) -> None:
    assert may_be_native(path, mode) is native


def test_a_release_is_for_the_platforms_of_its_native_files(packing: Packing) -> None:
    write_tree(packing.source, {"a.py": "", "downloads/tool-arm": elf(183), "setup.exe": b"MZ"})
    assert packing.pack().manifest.platform == "any"
    write_tree(packing.source, {"deps/_x.so": elf(62)})
    packed = packing.pack()
    assert (packed.manifest.platform, packed.native) == ("linux-x86_64", {"deps/_x.so": "linux-x86_64"})
    write_tree(packing.source, {"deps/_y.node": fat(ARM64)})
    assert packing.pack().manifest.platform == "darwin-arm64+linux-x86_64"


@pytest.mark.parametrize(
    ("release", "node", "runs"),
    [
        ("any", "linux-x86_64", True),
        ("linux-x86_64", "linux-x86_64", True),
        ("linux-aarch64", "linux-x86_64", False),
        ("darwin-arm64+linux-x86_64", "linux-x86_64", True),
        ("darwin-arm64+darwin-x86_64", "linux-x86_64", False),
        ("linux-i686", "linux-x86_64", True),
        ("linux-x86_64", "linux-i686", False),
    ],
)
def test_a_release_runs_where_one_of_its_platforms_fits(release: str, node: str, runs: bool) -> None:
    assert runs_on(release, node) is runs


def test_platforms_have_one_name_each() -> None:
    assert platform_name("linux", "aarch64") == platform_name("Linux", "arm64") == "linux-aarch64"
    assert platform_name("Darwin", "arm64") == "darwin-arm64"
    assert platform_name("freebsd14", "amd64") == "freebsd-x86_64"
    assert platform_name("linux", "i586") == "linux-i686"
    assert release_platform([]) == "any"
