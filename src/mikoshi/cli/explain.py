"""Every error as text: what happened, where, and what to do next. The one place where facts become sentences.

`{fact}` in a text is a fact of the error; `{node}` is where it happened. A test holds that every error has its texts
and that they fit its facts.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from mikoshi.cli.texts import TEXTS, USE_THE_SOCKET, failures
from mikoshi.core.errors import (
    DeployFailed,
    MikoshiError,
    PortTaken,
    ProcessEnded,
    SocketNotUsed,
)
from mikoshi.core.running_errors import NotEverywhere, ProcessUnknown


@dataclass(frozen=True)
class Explanation:
    """What happened, details below it (each a line), and the next action; the last two may be empty."""

    what: str
    details: tuple[str, ...] = ()
    next: str = ""


def exit_code(error: MikoshiError) -> int:
    """The exit code of the command line's table."""
    return error.exit if isinstance(error, (DeployFailed, NotEverywhere)) else error.exit_code


def explain(error: MikoshiError) -> Explanation:
    """The error as text."""
    if isinstance(error, DeployFailed):
        return _deploy_failed(error)
    if isinstance(error, NotEverywhere):
        return _not_everywhere(error)
    what, further = TEXTS[type(error).__name__]
    facts = {name: _shown(value) for name, value in error.facts().items()}
    where = f"{error.node}: " if error.node and "{node}" not in what else ""
    filled = {**facts, **_derived(error), "node": error.node or "the node"}
    return Explanation(where + what.format_map(filled), _details(error), further.format_map(filled))


# What a text may name besides the error's own facts: made of several, or of a number nobody knows by heart.
DERIVED: dict[str, frozenset[str]] = {
    "PortTaken": frozenset({"owner"}),
    "ProcessEnded": frozenset({"ended", "when", "remedy"}),
    "ProcessUnknown": frozenset({"suggestion"}),
    "SocketNotUsed": frozenset({"opened"}),
}
_PHASES = {"trial": "on trial", "start": "as it began to serve", "watch": "after it had begun to serve"}


def _derived(error: MikoshiError) -> dict[str, str]:
    match error:
        case PortTaken():
            known = f"process {error.pid} ({error.name})" if error.pid else "a process that cannot be seen"
            return {"owner": known}
        case ProcessEnded():
            return _ended(error)
        case ProcessUnknown():
            return {"suggestion": f"; did you mean {error.nearest!r}?" if error.nearest else ""}
        case SocketNotUsed():
            return {"opened": f"; it opened port {error.opened} itself" if error.opened else ""}
        case _:
            return {}


def _ended(error: ProcessEnded) -> dict[str, str]:
    when = _PHASES.get(error.phase, error.phase)
    if error.opened:
        ended = f"opened {error.opened} itself, which the runner has open for it, and ended"
        return {"ended": ended, "when": when, "remedy": USE_THE_SOCKET}
    remedy = "It has to stay in the foreground." if error.status == 0 else ""
    return {"ended": how_it_ended(error.status), "when": when, "remedy": remedy}


def how_it_ended(status: int) -> str:
    """A process's end: by its exit status, or by the signal -status."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def _shown(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "none"
    if isinstance(value, dict):
        return failures(value) or "none"
    return round(value, 1) if isinstance(value, float) else value


def _details(error: MikoshiError) -> tuple[str, ...]:
    """The lines that belong below: an application's output, a configuration's problems."""
    facts = error.facts()
    return tuple(str(line) for name in ("problems", "lines") for line in facts.get(name, ()))


_OUTCOMES = {
    4: "no node was changed",
    5: "it failed before any node was changed",
    6: "every node that had changed went back",
    7: "these nodes need a person: {changed}",
}


def _deploy_failed(error: DeployFailed) -> Explanation:
    outcome = _OUTCOMES[error.exit].format(changed=", ".join(error.changed))
    name = f"deployment {error.seq}" if error.seq else "the deployment"
    runs = f" Deployment {error.stable} runs." if error.stable and error.exit != 7 else ""
    details = _causes(error.causes)
    details.extend(f"not undone: {what}" for what in error.not_undone)
    further = {
        4: "Nothing has to be cleaned up: run the same command again once it is reachable.",
        5: "Nothing has to be cleaned up: mend the cause and run the same command again.",
        6: "Mend the cause and deploy again; `mikoshi history` has the record.",
        7: "Look with `mikoshi status`, mend those nodes, then run the same command again: it goes on from there.",
    }[error.exit]
    return Explanation(f"{name} failed: {outcome}.{runs}", tuple(details), further)


def _causes(causes: list[MikoshiError]) -> list[str]:
    details: list[str] = []
    for cause in causes:
        explained = explain(cause)
        details.extend([explained.what, *(f"  │ {line}" for line in explained.details)])
        if explained.next:
            details.append(f"  → {explained.next}")
    return details


_LEFT = {
    ("restart", 4): "Where it was not done the processes go on as they were.",
    ("restart", 6): "Everything goes on: the old processes where it failed. Mend the cause and restart again.",
    ("restart", 7): "Look there with `mikoshi status` and `mikoshi logs`.",
    ("stop", 4): "There its processes may go on. Run the same command again once it is reachable.",
    ("stop", 7): "Look there with `mikoshi status`; the runner's own log is log/runner.log on the host.",
}


def _not_everywhere(error: NotEverywhere) -> Explanation:
    where = ", ".join(dict.fromkeys(cause.node for cause in error.causes if cause.node))
    what = {
        "restart": f"the restart failed on {where}" if error.exit != 4 else f"not restarted everywhere: {where}",
        "stop": f"not stopped everywhere: {where}",
    }[error.verb]
    details = _causes(error.causes)
    details.append(f"{'restarted' if error.verb == 'restart' else 'stopped'}: {', '.join(error.done) or 'none'}")
    if error.untouched:
        details.append(f"not touched: {', '.join(error.untouched)}")
    return Explanation(what, tuple(details), _LEFT[error.verb, error.exit])
