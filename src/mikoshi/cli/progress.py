"""Events as lines for people, and as JSON lines for programs. A view: it changes nothing and decides nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from mikoshi.cli.explain import explain
from mikoshi.cli.output import counted, duration, is_terminal, paint, print_json, size
from mikoshi.cli.probed import probe_began, probed
from mikoshi.core import events as e
from mikoshi.core.errors import InfrastructureError, from_wire

if TYPE_CHECKING:
    from mikoshi.ports.clock import Clock


class JsonLines:
    """Each event as one JSON line on standard output."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, event: e.Event) -> None:
        """Print the event."""
        print_json(e.to_json(event, self._clock.now()))
        sys.stdout.flush()

    def close(self) -> None:
        """Nothing is left open."""


class Lines:
    """Plain lines; on a terminal also a line that shows how far transfers are."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = is_terminal(sys.stdout)
        self._shown = False
        self._transfers: dict[str, tuple[int, int]] = {}
        self._width = 4

    def __call__(self, event: e.Event) -> None:
        """Print what the event says, if it is worth a line."""
        if isinstance(event, e.CommandBegan):
            self._width = max((len(host) for host in event.hosts), default=4)
        if isinstance(event, (e.StageBegan, e.StageProgress, e.StageEnded)):
            self._transfer(event)
        line = self._line(event)
        if line is None or (self._quiet and not isinstance(event, (e.Note, e.NodeFailed, e.NodeLost))):
            return
        self._clear()
        print(line, flush=True)

    def close(self) -> None:
        """Remove the live line."""
        self._clear()

    def _at(self, node: str, text: str) -> str:
        return f"  {paint(node.ljust(self._width), 'bold')}  {text}"

    def _line(self, event: e.Event) -> str | None:
        describe: Callable[[e.Event], str | None] | None = _LINES.get(type(event))
        text = describe(event) if describe else None
        if text is None:
            return None
        node = getattr(event, "node", "")
        return self._at(node, text) if node else text

    def _transfer(self, event: e.StageBegan | e.StageProgress | e.StageEnded) -> None:
        if isinstance(event, e.StageEnded):
            self._transfers.pop(event.node, None)
        else:
            sent = event.sent if isinstance(event, e.StageProgress) else 0
            self._transfers[event.node] = (sent, event.missing)
        if not self._live or not self._transfers:
            return
        sent, total = (sum(column) for column in zip(*self._transfers.values(), strict=True))
        self._clear()
        text = f"  sending {size(sent)} of {size(total)} to {counted(len(self._transfers), 'node')}"
        sys.stdout.write(paint(text, "dim"))
        sys.stdout.flush()
        self._shown = True

    def _clear(self) -> None:
        if self._shown:
            sys.stdout.write("\r\x1b[K")
            self._shown = False


def _began(event: e.CommandBegan) -> str:
    hosts = ", ".join(event.hosts) if len(event.hosts) <= 5 else counted(len(event.hosts), "node")
    return paint(f"{event.app} {event.env}", "bold") + f" → {hosts}"


def _build(event: e.BuildBegan) -> str:
    reused = paint("  inputs unchanged: not run again", "dim") if event.reused else ""
    return f"  build {event.where}: {event.command}{reused}"


def _packed(event: e.Packed) -> str:
    commit = f", commit {event.commit[:10]}{' with changes' if event.dirty else ''}" if event.commit else ""
    read = f", {event.hashed} read anew" if event.hashed else ", none read anew"
    return f"  release {event.release[:12]}: {counted(event.files, 'file')}, {size(event.size)}{read}{commit}"


def _attempt(event: e.AttemptBegan) -> str:
    going = "going on with deployment" if event.resumed else "deployment"
    return f"  {going} {paint(str(event.seq), 'bold')}: " + "; ".join(event.reasons)


def _staged(event: e.StageEnded) -> str:
    there = f", {size(event.reused)} there already" if event.reused else ""
    return f"staged: {size(event.received)} sent{there} ({duration(event.seconds)})"


def _flipped(event: e.NodeFlipped) -> str:
    return paint(f"runs {event.seq}", "green") + f" ({duration(event.seconds)})"


def _failure(event: e.NodeFailed) -> str:
    explained = explain(from_wire(dict(event.error)))
    lines = [paint("failed: ", "red") + explained.what.removeprefix(f"{event.node}: ")]
    if event.restored:
        lines.append("      it runs what it ran before")
    return "\n".join(lines)


def _lost(event: e.NodeLost) -> str:
    error = from_wire(dict(event.error))
    label = "out of reach: " if isinstance(error, InfrastructureError) else "cannot be used: "
    return paint(label, "red") + explain(error).what.removeprefix(f"{event.node}: ")


def _probe_failed(event: e.ProbeFailed) -> str:
    return paint("  probe: ", "red") + explain(from_wire(dict(event.error))).what


def _reverting(event: e.RevertBegan) -> str:
    to = f"deployment {event.stable}" if event.stable else "nothing: there was no deployment before"
    return paint(f"  going back from deployment {event.seq} to {to}", "yellow")


def _reverted(event: e.NodeReverted) -> str:
    return paint(f"runs {event.seq} again" if event.seq else "runs nothing, as before", "yellow")


def _ended(event: e.CommandEnded) -> str | None:
    trips = f"{counted(event.connects, 'connection')}, {counted(event.round_trips, 'round trip')}"
    cost = f"{duration(event.seconds)}, {trips}, {size(event.bytes_sent)} sent"
    if event.outcome == "nothing to do":
        return paint("nothing to do", "green") + f": deployment {event.seq} runs everywhere ({cost})"
    if event.outcome == "done":
        return paint("done", "green") + f": deployment {event.seq} runs ({cost})"
    if event.outcome == "stopped":
        return paint("stopped", "green") + f" until the next deploy or restart ({cost})"
    if event.outcome == "reverted":
        return paint("given up", "yellow") + f": deployment {event.seq}; what ran before runs again ({cost})"
    return f"{event.outcome} ({cost})"


def _stopped(event: e.NodeStopped) -> str:
    return f"ended {counted(event.ended, 'process', 'processes')}" if event.ended else "had no process to end"


_LINES: dict[type, Callable[..., str | None]] = {
    e.CommandBegan: _began,
    e.BuildBegan: _build,
    e.BuildOutput: lambda event: f"    │ {event.line}",
    e.Packed: _packed,
    e.Note: lambda event: paint("note: ", "yellow") + event.text if event.node else f"  note: {event.text}",
    e.NodeLost: _lost,
    e.AttemptBegan: _attempt,
    e.StageEnded: _staged,
    e.WaveBegan: lambda event: f"  wave {event.number}: {', '.join(event.nodes)}",
    e.NodeOutput: lambda event: paint(f"│ {event.source}: {event.line}", "dim"),
    e.NodeFlipped: _flipped,
    e.BakeBegan: lambda event: f"  watching for {duration(event.seconds)}",
    e.NodeFailed: _failure,
    e.RevertBegan: _reverting,
    e.NodeReverted: _reverted,
    e.NodeRestarted: lambda event: (
        paint(f"runs {event.seq} with new processes", "green") + f" ({duration(event.seconds)})"
    ),
    e.NodeStopped: _stopped,
    e.ProbeBegan: probe_began,
    e.ProbeFailed: _probe_failed,
    e.Probed: probed,
    e.CommandEnded: _ended,
}
