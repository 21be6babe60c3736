"""Notes damaged files of kept trees, and replaces them once a staged deployment brings their content.

Hard links make one inode stand in many trees, so an edit in one is an edit in all: the inode is replaced in each. What
was noticed stands in the journal, so a killed engine's repair is gone on with.
"""

from __future__ import annotations

import os
import stat

from mikoshi.core.errors import NotStaged
from mikoshi.core.release import Entry
from mikoshi.node.layout import Layout, by_content, sealed_mode
from mikoshi.node.steps import TreeFoundEdited, TreeRepaired
from mikoshi.node.verify import differences, edited, matches
from mikoshi.node.workspace import Workspace
from mikoshi.node.writing import TreeWriter


def note_damage(work: Workspace, own: int, digests: set[str]) -> None:
    """Journal every kept tree but `own` in which a file that is listed with one of these contents is damaged."""
    for seq in _others(work, own):
        entries = [entry for entry in _listed(work, seq) if entry.digest in digests]
        tree = work.deployments.paths(seq).tree
        paths = [entry.path for entry in entries if not _is_good(work, os.path.join(tree, entry.path), entry)]
        if paths and seq not in work.journal.state.edited:
            work.journal.add(TreeFoundEdited(seq, tuple(sorted(paths)[:10])))


def repair(work: Workspace, seq: int, layout: Layout) -> None:
    """Put files of the complete tree of `seq` in place of damaged ones of the same content, in every edited tree."""
    good = by_content(layout.files.values())
    for other in _others(work, seq):
        if other not in work.journal.state.edited:
            continue
        writer = TreeWriter(work.deployments.paths(other).tree, work.files, work.fingerprints)
        for entry in _listed(work, other):
            if entry.digest in good and not _is_good(work, writer.path(entry.path), entry):
                _replace(work, writer, entry, good[entry.digest], work.deployments.paths(seq).tree)
        found = differences(work.deployments.layout(other), work.deployments.paths(other).tree, work.fingerprints)
        paths = edited(found, other).paths
        if not found:
            work.journal.add(TreeRepaired(other))
        elif paths != work.journal.state.edited[other]:
            work.journal.add(TreeFoundEdited(other, tuple(paths)))


def _others(work: Workspace, own: int) -> list[int]:
    return [stored.seq for stored in work.deployments.stored() if stored.staged and stored.seq != own]


def _listed(work: Workspace, seq: int) -> list[Entry]:
    try:
        return list(work.deployments.manifest(seq).files())
    except NotStaged:
        return []


def _replace(work: Workspace, writer: TreeWriter, entry: Entry, good: list[Entry], tree: str) -> None:
    """Put the good content at the entry's path, unless a directory above it is not one any more."""
    path = writer.path(entry.path)
    if not _parents_are_directories(writer, entry.path) or os.path.isdir(path):
        return
    parent = os.path.dirname(path)
    mode = stat.S_IMODE(os.lstat(parent).st_mode)
    work.files.chmod(parent, mode | 0o200)
    same = _with_mode(good, entry)
    if same is not None:
        writer.put_linked(entry.path, os.path.join(tree, same.path))
    else:
        writer.put_copy(entry.path, os.path.join(tree, good[0].path), sealed_mode(entry))
        work.files.sync_path(path)
    work.files.chmod(parent, mode)
    work.files.sync_path(parent)


def _with_mode(good: list[Entry], entry: Entry) -> Entry | None:
    return next((one for one in good if one.mode == entry.mode), None)


def _is_good(work: Workspace, path: str, entry: Entry) -> bool:
    try:
        status = os.lstat(path)
        return matches(status, entry) and work.fingerprints.read(path, status) == entry.digest
    except OSError:
        return False


def _parents_are_directories(writer: TreeWriter, name: str) -> bool:
    parent = os.path.dirname(name)
    while parent:
        path = writer.path(parent)
        if os.path.islink(path) or not os.path.isdir(path):
            return False
        parent = os.path.dirname(parent)
    return True
