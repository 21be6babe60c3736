"""Replaces damaged files in every kept tree that lists their content, once good content is on the node.

Hard links make one inode stand in many trees, so an edit in one is an edit in all: the inode is replaced in each.
"""

from __future__ import annotations

import os
import stat

from mikoshi.core.errors import NotStaged
from mikoshi.core.release import Entry
from mikoshi.node.layout import Layout, by_content, sealed_mode
from mikoshi.node.steps import TreeFoundEdited, TreeRepaired
from mikoshi.node.verify import differences, matches
from mikoshi.node.workspace import Workspace
from mikoshi.node.writing import TreeWriter

_SHOWN = 10


def repair(work: Workspace, seq: int, layout: Layout, damaged: dict[str, dict[int, list[str]]]) -> None:
    """Put the good files of the tree of `seq` in place of `damaged` ones (digest → seq → paths) and their like."""
    good = {digest: entries for digest, entries in by_content(layout.files.values()).items() if digest in damaged}
    noticed = {other: paths for trees in damaged.values() for other, paths in trees.items()}
    for other in work.deployments.seqs():
        stored = work.deployments.load(other)
        if other == seq or stored is None or not stored.staged:
            continue
        changed = _repair_tree(work, seq, other, good)
        _note(work, other, sorted(set(noticed.get(other, [])) | changed), bool(changed))


def _repair_tree(work: Workspace, seq: int, other: int, good: dict[str, list[Entry]]) -> set[str]:
    try:
        listed = [entry for entry in work.deployments.manifest(other).files() if entry.digest in good]
    except NotStaged:
        return set()
    writer = TreeWriter(work.deployments.paths(other).tree, work.files, work.fingerprints)
    tree, changed = work.deployments.paths(seq).tree, set()
    for entry in listed:
        path = writer.path(entry.path)
        if _is_good(work, path, entry) or not _parents_are_directories(writer, entry.path):
            continue
        parent = os.path.dirname(path)
        mode = stat.S_IMODE(os.lstat(parent).st_mode)
        work.files.chmod(parent, mode | 0o200)
        same = [one for one in good[entry.digest] if one.mode == entry.mode]
        if same:
            writer.put_linked(entry.path, os.path.join(tree, same[0].path))
        else:
            writer.put_copy(entry.path, os.path.join(tree, good[entry.digest][0].path), sealed_mode(entry))
            work.files.sync_path(path)
        work.files.chmod(parent, mode)
        work.files.sync_path(parent)
        changed.add(entry.path)
    return changed


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


def _note(work: Workspace, seq: int, paths: list[str], changed: bool) -> None:
    if not paths:
        return
    work.journal.add(TreeFoundEdited(seq, tuple(paths[:_SHOWN])))
    if changed and not differences(work.deployments.layout(seq), work.deployments.paths(seq).tree, work.fingerprints):
        work.journal.add(TreeRepaired(seq))
