"""The steps between two deployments that a runner keeps: trial, hand-over, drain. Blocking, in the engine.

The runner starts and stops; here it is judged whether what was started is fit to serve. A process is proved on a
private socket before any public one leads to it, and the old generation goes on until every instance of the new one
was seen to take a connection from the public socket and to answer it well.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mikoshi.core.errors import HealthFailed, ProcessEnded, ProcessNotStarted, SocketNotUsed
from mikoshi.node import health, processes
from mikoshi.node.deployments import Stored
from mikoshi.node.health import Check
from mikoshi.node.redact import of_deployment
from mikoshi.node.runner import acceptance, replaced, sockets
from mikoshi.node.runner.plans import runs_by_runner
from mikoshi.node.workspace import Workspace

_POLL = 0.02
_SILENT = 0.1  # seconds for a connection to be taken before anything is sent on it
_ACCEPT = 1.0  # seconds for a connection to be taken, before another one is tried
STANDING = 1.0  # seconds that a process without a socket has to stay to count as alive
PATIENCE = 5.0  # seconds after which an instance that answers badly to nobody counts, though no connection came to it


def has_runner(stored: Stored) -> bool:
    """Whether this deployment's processes are the runner's."""
    return runs_by_runner(stored.settings.to_json())


class _TrialLost(Exception):
    """Nobody knows how a trial ended."""


@dataclass
class Handover:
    """The way of one deployment onto the public sockets. `since`: the stamp before which its log is not of interest."""

    work: Workspace
    stored: Stored
    since: str = ""

    # ── trial ──────────────────────────────────────────────────────────────────────────────────────────────────

    def trial(self) -> None:
        """Prove each process that listens, on a private socket. Raises PortTaken, ProcessEnded, HealthFailed …"""
        runner = self.work.runner
        runner.ensure()
        if not replaced.stands_in_the_way(self.stored.settings.replaces):
            runner.ask("listen", seq=self.stored.seq)
        for check in health.checks_of(self.stored.settings):
            if self.stored.settings.processes[check.process].get("command"):
                self._try(check)

    def _try(self, check: Check) -> None:
        """One trial, begun again if the runner was killed meanwhile: its end says nothing about the process then."""
        runner = self.work.runner
        while True:
            begun = runner.ask("trial", seq=self.stored.seq, process=check.process)
            host, port = sockets.host_and_port(begun["address"])
            try:
                self._until_healthy(replace(check, host=host, port=port), begun)
            except _TrialLost:
                continue
            finally:
                runner.ask("end", id=begun["id"])
            self._until_ended(begun["id"])
            return

    def _until_healthy(self, check: Check, begun: Mapping[str, Any]) -> None:
        deadline = time.monotonic() + check.within
        taken = False
        while True:
            self._refuse_ended_trial(check.process, begun["id"])
            healthy, answer, taker = _ask(check, {begun["id"]: begun["pid"]})
            if healthy:
                return
            taken = taken or taker is not None
            if time.monotonic() + _POLL >= deadline:
                break
            time.sleep(health.INTERVAL)
        lines = self._lines(check.process)
        opened = acceptance.opened_itself(begun["pid"], begun["address"])
        if not taken:
            raise SocketNotUsed(check.process, begun["address"], opened, check.within, lines)
        raise HealthFailed(check.process, check.url, answer, check.within, lines)

    def _refuse_ended_trial(self, process: str, number: int) -> None:
        result = self.work.runner.ask("result", id=number)
        if not result["running"] and result["status"] is None:
            raise _TrialLost
        if not result["running"]:
            raise self._ended(process, result["status"], "trial")

    def _until_ended(self, number: int) -> None:
        """Wait for a trial's end; the runner kills it when its time is over, and that is no failure."""
        while self.work.runner.ask("result", id=number)["running"]:
            self.work.check()
            time.sleep(_POLL)

    # ── hand-over ──────────────────────────────────────────────────────────────────────────────────────────────

    def serve(self) -> None:
        """Bring this generation onto the public sockets, and drain the others once it serves."""
        runner, seq = self.work.runner, self.stored.seq
        runner.ensure()
        replaced.take_over(self.work, self.stored.settings.replaces)
        runner.ask("want", seq=seq, key=str(seq), fresh=False)
        self.until_alive()
        self.drain()
        replaced.keep(self.work)

    def until_alive(self) -> None:
        """Wait until every wanted instance serves. Raises ProcessEnded, ProcessNotStarted and HealthFailed."""
        checks = {check.process: check for check in health.checks_of(self.stored.settings)}
        proved: set[int] = set()
        begun, answer = time.monotonic(), ""
        while True:
            rows = self._wanted()
            self._refuse_ended(rows)
            for name in {row["process"] for row in rows}:
                answer = (
                    self._prove(checks.get(name), [row for row in rows if row["process"] == name], proved) or answer
                )
            missing = [row for row in rows if row["id"] not in proved]
            if rows and not missing:
                return
            for row in missing:
                self._refuse_late(row, checks.get(row["process"]), time.monotonic() - begun, answer)
            time.sleep(_POLL)

    def _wanted(self) -> list[dict[str, Any]]:
        status = self.work.runner.ask("status")
        return [row for row in status["processes"] if row["generation"] == status["wanted"] and row["state"] != "trial"]

    def _prove(self, check: Check | None, rows: list[dict[str, Any]], proved: set[int]) -> str:
        """Add to `proved` what is seen to serve; what was last answered otherwise."""
        waiting = {row["id"]: row["pid"] for row in rows if row["state"] == "running" and row["id"] not in proved}
        if not waiting:
            return ""
        if check is None or not rows[0]["listen"]:
            proved.update(row["id"] for row in rows if row["id"] in waiting and row["up"] >= STANDING)
            return ""
        healthy, answer, taker = _ask(check, waiting)
        if healthy and taker:
            proved.add(taker)
        elif healthy:
            proved.update(row["id"] for row in rows if row["id"] in waiting and row["up"] >= PATIENCE)
        return "" if healthy else answer

    def _refuse_ended(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["ends"] and row["reason"]:
                raise ProcessNotStarted(row["process"], row["reason"])
            if row["ends"]:
                raise self._ended(row["process"], row["last_status"], "start")

    def _refuse_late(self, row: Mapping[str, Any], check: Check | None, seconds: float, answer: str) -> None:
        within = check.within if check else health.WITHIN
        blocked = row["state"] == "waiting"  # by one that stops first: that has a limit of its own
        if seconds > within and check and not blocked:
            raise HealthFailed(check.process, check.url, answer or "no answer", within, self._lines(check.process))

    def drain(self) -> None:
        """Let every other generation finish what it does, and wait for its end."""
        runner = self.work.runner
        runner.ask("drain")
        while True:
            status = runner.ask("status")
            if all(row["generation"] == status["wanted"] for row in status["processes"] if row["state"] != "trial"):
                return
            time.sleep(_POLL)

    # ── what is known of a failure ─────────────────────────────────────────────────────────────────────────────

    def watch(self) -> None:
        """Raise ProcessEnded if a process ended by itself since it serves."""
        for row in self._wanted():
            if row["ends"] and row["last_status"] is not None:
                raise self._ended(row["process"], row["last_status"], "watch")

    def _ended(self, process: str, status: int | None, phase: str) -> ProcessEnded:
        lines = self._lines(process)
        taken = any(os.strerror(errno.EADDRINUSE).lower() in line.lower() or "EADDRINUSE" in line for line in lines)
        listen = str(self.stored.settings.processes[process].get("listen") or "")
        return ProcessEnded(process, -1 if status is None else status, phase, lines, listen if taken else "")

    def _lines(self, process: str) -> list[str]:
        """The last lines of this deployment's processes, without time and origin."""
        path = os.path.join(self.work.paths.logs, f"{process}.log")
        marks = (f"@{self.stored.seq}", f"@{self.stored.seq}?")
        lines = [line.split(" ", 2) for line in processes.tail(path, of_deployment(self.work, self.stored))]
        return [parts[2] for parts in lines if len(parts) == 3 and parts[1].endswith(marks) and parts[0] >= self.since]


def stop_all(work: Workspace) -> None:
    """End every process that a runner has here, and its sockets; what it had replaced runs again."""
    if work.runner.running:
        work.runner.ask("want", seq=0, key="", fresh=False)
        work.runner.ask("drain")
        while (status := work.runner.ask("status"))["processes"] or status["sockets"]:
            time.sleep(_POLL)
    replaced.give_back(work)


def _ask(check: Check, instances: Mapping[int, int]) -> tuple[bool, str, int | None]:
    """One request: whether the answer was a healthy one, what was seen, and which instance it came from."""
    try:
        with socket.create_connection((check.host, check.port), health.TRY_LIMIT) as connection:
            # Silent at first: a whole request may be answered before one has looked. With TCP_DEFER_ACCEPT nobody takes
            # a silent connection: then all but the request's end is sent.
            taker, begin = acceptance.taker(connection, instances, _SILENT), b""
            if taker is None:
                begin = health.request_of(check)[:-2]
                connection.sendall(begin)
                taker = acceptance.taker(connection, instances, _ACCEPT)
            if taker is None:
                return False, "no process took the connection", None
            healthy, answer = health.ask_over(connection, check, health.TRY_LIMIT, len(begin))
            return healthy, answer, taker
    except ConnectionRefusedError:
        return False, "refused", None
    except OSError as error:
        return False, error.strerror or str(error), None
