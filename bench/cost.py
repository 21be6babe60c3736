"""Runs commands beside each other and says what they cost: time on the clock, CPU time, memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LIMIT_WORDS = 2_000


class CommandFailed(Exception):
    """A measured command ended with another status than 0; a measurement of it would mean nothing."""


@dataclass(frozen=True)
class Cost:
    """What commands run beside each other have cost on this side: never what the hosts spent.

    `seconds` on the clock until the last ended, `cpu` seconds of all, `memory` in bytes: the largest process's peak.
    """

    seconds: float
    cpu: float
    memory: int
    output: str = ""


def run(
    commands: Sequence[Sequence[str]], *, directory: Path | None = None, environment: Mapping[str, str] | None = None
) -> Cost:
    """Run all commands at once and wait for them. Raises CommandFailed with the end of what one of them printed."""
    with tempfile.TemporaryDirectory(prefix="mikoshi-bench-output-") as scratch:
        outputs = [Path(scratch, str(number)) for number in range(len(commands))]
        begun = time.perf_counter()
        started = [
            _start(command, output, directory, environment) for command, output in zip(commands, outputs, strict=True)
        ]
        cpu, memory, failed = 0.0, 0, []
        for number, process in enumerate(started):
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu += used.ru_utime + used.ru_stime
            memory = max(memory, used.ru_maxrss * 1024)
            if process.returncode:
                failed.append(number)
        seconds = time.perf_counter() - begun
        texts = [output.read_text(errors="replace") for output in outputs]
        if failed:
            first = failed[0]
            said = texts[first][-LIMIT_WORDS:]
            raise CommandFailed(f"{' '.join(commands[first])} ended with {started[first].returncode}:\n{said}")
        return Cost(seconds, cpu, memory, "".join(texts))


def _start(
    command: Sequence[str], output: Path, directory: Path | None, environment: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    with output.open("wb") as file:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=directory, env=environment
        )
