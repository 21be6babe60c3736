"""Which platform a file was built for, read from its header (ELF, Mach-O), and what that makes of a release.

Platforms are named as a node names itself: system, dash, machine (`linux-x86_64`, `darwin-arm64`). Formats that no node
can run, such as PE, are data like any other file. See docs/decisions/0011-platform-of-a-release.md.
"""

from __future__ import annotations

import os
import re
import struct
import sys
from collections.abc import Iterable

from mikoshi.core.platforms import platform_name
from mikoshi.core.release import ANY_PLATFORM

HEADER_SIZE = 1024  # bytes of a file that `platforms_of_header` wants to see
_LIBRARY = re.compile(r"\.(so(\.[0-9]+)*|node|dylib|bundle)\Z")

# ELF: System V ABI, "ELF Header"; machine numbers from its e_machine registry.
_ELF_SYSTEMS = {0: "linux", 3: "linux", 9: "freebsd"}
_ELF_MACHINES = {
    (3, 1, 1): "i686",
    (8, 2, 1): "mips64",
    (20, 1, 2): "ppc",
    (21, 2, 1): "ppc64le",
    (21, 2, 2): "ppc64",
    (22, 2, 2): "s390x",
    (40, 1, 1): "armv7l",
    (62, 2, 1): "x86_64",
    (183, 2, 1): "aarch64",
    (243, 2, 1): "riscv64",
    (258, 2, 1): "loongarch64",
}
_ELF_PROGRAM_OR_LIBRARY = (2, 3)
_FREEBSD_NAMES = {"aarch64": "arm64"}

# Mach-O: <mach-o/loader.h> and <mach-o/fat.h>.
_MACH_MACHINES = {0x01000007: "x86_64", 0x0100000C: "arm64"}
_MACH_64 = b"\xcf\xfa\xed\xfe"
_FAT, _FAT_64 = b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf"
_FAT_MOST = 30  # a Java class file has the same magic; there its version stands, which is 45 or more


def may_be_native(path: str, mode: int) -> bool:
    """Whether a file would be loaded as native code: it is executable or named like a shared library."""
    return bool(mode & 0o111) or _LIBRARY.search(path) is not None


def platforms_of_header(header: bytes) -> tuple[str, ...]:
    """The platforms for which a file that begins with `header` was built, sorted; empty if it is not native code."""
    if header.startswith(b"\x7fELF"):
        return _elf(header)
    if header.startswith(_MACH_64):
        return _darwin([struct.unpack_from("<I", header, 4)[0]] if len(header) >= 8 else [])
    if header.startswith((_FAT, _FAT_64)):
        return _fat(header)
    return ()


def release_platform(platforms: Iterable[str]) -> str:
    """The platform of a release that holds native code for `platforms`: "any", or their names joined by "+"."""
    return "+".join(sorted(set(platforms))) or ANY_PLATFORM


def local_platform() -> str:
    """The platform of this machine."""
    return platform_name(sys.platform, os.uname().machine)


def _elf(header: bytes) -> tuple[str, ...]:
    if len(header) < 20 or header[5] not in (1, 2):
        return ()
    bits, order, system = header[4], header[5], header[7]
    kind, machine = struct.unpack_from("<HH" if order == 1 else ">HH", header, 16)
    name, where = _ELF_MACHINES.get((machine, bits, order)), _ELF_SYSTEMS.get(system)
    if kind not in _ELF_PROGRAM_OR_LIBRARY or name is None or where is None:
        return ()
    return (platform_name(where, _FREEBSD_NAMES.get(name, name) if where == "freebsd" else name),)


def _fat(header: bytes) -> tuple[str, ...]:
    row = 20 if header.startswith(_FAT) else 32
    if len(header) < 8:
        return ()
    (count,) = struct.unpack_from(">I", header, 4)
    if not 0 < count <= _FAT_MOST or len(header) < 8 + row * count:
        return ()
    return _darwin([struct.unpack_from(">I", header, 8 + row * index)[0] for index in range(count)])


def _darwin(machines: Iterable[int]) -> tuple[str, ...]:
    names = {_MACH_MACHINES[machine] for machine in machines if machine in _MACH_MACHINES}
    return tuple(sorted(f"darwin-{name}" for name in names))
