"""Pushing an application to servers, beside rsync, `tar | ssh` and Capistrano: `python -m bench.push`.

Prints Markdown; `--write PAGE` puts it between that page's marks instead. Needs root on Linux, for the servers.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import memory, report, startup
from bench.rounds import CONTENDERS, Amount, measure
from mikoshi.testing.hosts import missing_requirements

FULL = {1: Amount(4, 3), 3: Amount(3, 3), 10: Amount(3, 2), 50: Amount(2, 1)}
_HOW = "Medians; every case was followed by a comparison of every file on every host with the source."
QUICK = {1: Amount(2, 2), 10: Amount(1, 2)}


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code."""
    options = _parser().parse_args(arguments)
    if missing := missing_requirements():
        print("Servers cannot be started here:", *missing, sep="\n  ", file=sys.stderr)
        return 1
    names = options.only or list(CONTENDERS)
    amounts = QUICK if options.quick else FULL
    if options.hosts:
        amounts = {count: amounts.get(count, Amount(1, 2)) for count in options.hosts}
    if options.rounds:
        amounts = {count: replace(amount, rounds=options.rounds) for count, amount in amounts.items()}
    results = measure(names, amounts, say)
    parts = [report.push(results, names, list(amounts))]
    if "startup" not in options.without:
        parts.append(report.startup(startup.measure(3 if options.quick else 15, say)))
    if "memory" not in options.without and not options.quick:
        parts.append(report.large_files(memory.measure(say)))
    text = report.page(parts, shlex.join(["python", "-m", "bench.push", *arguments]), _HOW)
    if options.write:
        report.write(options.write, report.PUSH, text)
    else:
        print(text)
    return 0


def say(text: str) -> None:
    """Progress, apart from what is measured."""
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench.push", description="Measure pushing beside other tools.")
    parser.add_argument("--quick", action="store_true", help="fewer hosts and repetitions, no memory: minutes")
    parser.add_argument("--hosts", type=_counts, help="numbers of hosts, such as 1,3")
    parser.add_argument("--only", type=_names, help=f"of {', '.join(CONTENDERS)}")
    parser.add_argument("--rounds", type=int, help="how often everything is measured, each time from nothing")
    parser.add_argument("--without", type=lambda text: text.split(","), default=[], help="startup,memory")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into this page")
    return parser


def _counts(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in CONTENDERS:
            raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(CONTENDERS)}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
