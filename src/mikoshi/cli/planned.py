"""A plan as people read it, and as JSON."""

from __future__ import annotations

from mikoshi import wiring
from mikoshi.cli.deploying import Command
from mikoshi.cli.output import counted, print_json, size
from mikoshi.core import plan as plans
from mikoshi.core.plan import Plan
from mikoshi.core.release import FILE, difference
from mikoshi.engine import source


def show_plan(plan: Plan, command: Command) -> None:
    """Print a plan for people or as JSON."""
    if command.arguments.json:
        print_json(plans.to_json(plan))
        return
    if plan.empty:
        print(f"nothing to do: deployment {plan.seq} runs everywhere" if plan.seq else "nothing to do")
        return
    for action in plan.actions:
        print(f"  {_action_line(action)}{_difference(action, command)}")


def _difference(action: plans.Action, command: Command) -> str:
    """How the content to stage differs from what the node holds, as far as that is known here."""
    if not isinstance(action, plans.StageOn) or command.available is None:
        return ""
    wanted = command.available.content.manifest
    base = source.base_manifest(wiring.library())(action.base)
    dropped, changed = difference(base, wanted) if base else ((), wanted.entries)
    files = [entry for entry in changed if entry.kind == FILE]
    gone = f", {len(dropped)} gone" if dropped else ""
    return f": {counted(len(files), 'file')} new or changed ({size(sum(entry.size for entry in files))}){gone}"


def _action_line(action: plans.Action) -> str:
    match action:
        case plans.FinishRevert(seq, nodes, reason):
            where = ", ".join(f"{node} to {back or 'nothing'}" for node, back in nodes.items()) or "no node runs it"
            return f"go back from deployment {seq} ({reason}): {where}"
        case plans.CreateDeployment(seq, release, reasons):
            return f"create deployment {seq}, release {release[:12]}: {'; '.join(reasons)}"
        case plans.ResumeDeployment(seq, release, reasons):
            return f"go on with deployment {seq}, release {release[:12]}: {'; '.join(reasons)}"
        case plans.StageOn(node, _, base, reason):
            how = f", beside release {base[:12]}" if base else ""
            return f"{node}: stage ({reason}{how})"
        case plans.FlipOn(node, seq, previous, reason):
            return f"{node}: activate {seq} ({reason}); on failure back to {previous or 'nothing'}"
        case plans.SettleOn(node, seq, reason):
            return f"{node}: record {seq} as known good ({reason})"
