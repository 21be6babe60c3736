"""What a node shows of itself: everything a deployer needs to plan, in one value. Reads only."""

from __future__ import annotations

import os
import sys

from mikoshi.core.messages import Kept, NodeView
from mikoshi.node import fleet, machine
from mikoshi.node.runner import cgroups, units
from mikoshi.node.runner.handover import has_runner
from mikoshi.node.running import are_forsaken, is_stopped, process_views
from mikoshi.node.workspace import Workspace

_SHOWN = 3


def node_view(work: Workspace) -> NodeView:
    """The node as it is now."""
    state = work.journal.state
    free_bytes, free_inodes = machine.space(work.paths.root)
    records = fleet.records(work.paths)
    own = work.identity.own
    return NodeView(
        hostname=os.uname().nodename,
        user=own.name,
        uid=own.uid,
        root=work.identity.root,
        python=".".join(map(str, sys.version_info[:3])),
        platform=machine.platform(),
        boot_id=machine.boot_id(),
        identity=machine.identity(work.paths.root),
        path=work.paths.root,
        free_bytes=free_bytes,
        free_inodes=free_inodes,
        current=work.deployments.current(),
        kept=kept(work),
        highest_seq=max([0, *work.deployments.seqs(), *fleet.seqs(work.paths), state.highest_seq]),
        interrupted=state.interrupted,
        lease=work.leases.view(),
        fleet=tuple(records),
        warnings=tuple(_warnings(work)),
        processes=process_views(work),
        stopped=is_stopped(work),
    )


def kept(work: Workspace) -> tuple[Kept, ...]:
    """The deployments that stand here, ascending."""
    verdicts = work.journal.state.verdicts
    return tuple(
        Kept(
            seq=stored.seq,
            release=stored.deployment.release,
            settings_digest=stored.deployment.settings_digest,
            staged=stored.staged,
            verdict=verdicts.get(stored.seq, ""),
            by=stored.deployment.by,
            at=stored.deployment.at,
            message=stored.deployment.message,
        )
        for stored in work.deployments.stored()
    )


def _warnings(work: Workspace) -> list[str]:
    found = _of_runner(work)
    standing = set(work.deployments.seqs())
    for seq, paths in sorted(work.journal.state.edited.items()):
        if seq in standing:
            found.append(f"deployment {seq} was edited on the node: {', '.join(paths[:_SHOWN])}")
    if are_forsaken(work):
        found.append("no runner keeps the processes: `mikoshi restart` starts one")
    return found


def _of_runner(work: Workspace) -> list[str]:
    """What the processes of the running deployment go without on this machine."""
    current = work.deployments.current()
    stored = work.deployments.load(current) if current else None
    if stored is None or not has_runner(stored) or not work.runner.running:
        return []
    found = []
    if units.manager() is None:
        user = work.identity.own.name
        remedy = f": loginctl enable-linger {user}" if os.path.exists("/run/systemd/system") else " (no systemd)"
        found.append(f"nothing starts the processes after a reboot{remedy}")
    limits = {
        name: value for one in stored.settings.processes.values() for name, value in one.get("limits", {}).items()
    }
    found += [f"{kind} is not limited: no control group can be made" for kind in cgroups.unable(limits)]
    return found
