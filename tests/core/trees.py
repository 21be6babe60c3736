"""Hypothesis strategies for trees that a release may hold."""

from __future__ import annotations

import hashlib

from hypothesis import strategies as st

from mikoshi.core.release import Entry, directory_entry, file_entry, link_entry

# Few names, so that paths often share directories; among them what breaks careless formats.
NAMES = st.sampled_from(
    ["a", "b", "café", "cafe\u0301", "with space", "new\nline", "5:x,", "名", "a.b", "-", "#", "é"]
) | st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
DIGESTS = st.integers(0, 50).map(lambda number: hashlib.sha256(b"%d" % number).hexdigest())
FILES = st.builds(file_entry, PATHS, st.sampled_from([0o644, 0o755]), st.integers(0, 1 << 40), DIGESTS)
LINKS = st.builds(link_entry, PATHS, NAMES)
ENTRIES = FILES | LINKS | st.builds(directory_entry, PATHS)
PLATFORMS = st.sampled_from(["any", "linux-x86_64", "darwin-arm64+linux-aarch64"])


def compatible(entries: list[Entry]) -> list[Entry]:
    """As many of the entries, in order, as can stand in one tree."""
    chosen: dict[str, Entry] = {}
    for entry in entries:
        parts = entry.path.split("/")
        above = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        below = entry.path + "/"
        if entry.path in chosen or above & chosen.keys() or any(path.startswith(below) for path in chosen):
            continue
        chosen[entry.path] = entry
    return list(chosen.values())


TREES = st.lists(ENTRIES, max_size=12).map(compatible)
