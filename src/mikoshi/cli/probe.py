"""`mikoshi probe`: ask a site at a steady rate, and say what failed and how long answers took."""

from __future__ import annotations

import argparse

from mikoshi.cli.parser import Parser, Verbs, add_json, verb
from mikoshi.cli.probing import add_load


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "probe", run, "ask a URL at a steady rate, and report what failed and how long",
        "Ask a URL at a steady rate, half of the time over a new connection, and report failures by kind, how long\n"
        "answers took, and which deployment answered when. `deploy --probe` does the same during a rollout.",
    )  # fmt: skip
    parser.add_argument("url", metavar="URL", help="what to ask, for example https://shop.example.com/up")
    parser.add_argument("--for", dest="span", default="30s", metavar="TIME", help='for how long ("30s", "5m"; 30s)')
    add_load(parser, "--")
    add_json(parser, "each event")


def run(arguments: argparse.Namespace) -> int:
    """Probe; exit code 0 if no request failed, 4 if one did, 130 if it was stopped (after the report)."""
    from mikoshi import wiring
    from mikoshi.cli import context
    from mikoshi.cli.deploying import printer
    from mikoshi.cli.probing import asked_of, seconds_of
    from mikoshi.core.errors import Interrupted

    seconds = seconds_of("--for", arguments.span)
    show = printer(arguments)
    probe = wiring.probe(asked_of(arguments, arguments.url), show)
    try:
        report = context.run(probe.alone(seconds))
    except Interrupted:
        return Interrupted.exit_code
    finally:
        show.close()
    return 4 if any(phase.failed for phase in report.phases) else 0
