"""The options of the probe, for the verbs that have it, and what they ask for."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from mikoshi.core.errors import WrongUsage

if TYPE_CHECKING:
    from mikoshi.engine.probing.probe import Asked

MOST = 1000.0
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def add_probe(parser: argparse.ArgumentParser) -> None:
    """--probe and what belongs to it, for verbs that roll out."""
    parser.add_argument("--probe", metavar="URL", help="ask this URL all the time, and report what failed and how long")
    parser.add_argument(
        "--probe-budget", type=int, metavar="N", help="go back if more than N of these requests fail in the rollout"
    )
    add_load(parser, "--probe-")


def add_load(parser: argparse.ArgumentParser, prefix: str) -> None:
    """How the URL is asked; the options are the same with and without a rollout but for their `prefix`."""
    options = (
        ("rate", float, "N", "requests a second (20)"),
        ("timeout", str, "TIME", "how long a request may take before it has failed (10s)"),
        ("header", str, "NAME", "the answers' header that names the deployment (X-Mikoshi-Seq)"),
    )
    for name, kind, meta, text in options:
        parser.add_argument(f"{prefix}{name}", dest=f"probe_{name}", type=kind, metavar=meta, help=text)


def asked(arguments: argparse.Namespace) -> Asked | None:
    """What the probe is to do, None without --probe. Raises WrongUsage."""
    if getattr(arguments, "probe", None) is None:
        for option in ("budget", "rate", "timeout", "header"):
            if getattr(arguments, f"probe_{option}", None) is not None:
                raise WrongUsage(f"--probe-{option} says how to probe, and needs --probe URL")
        return None
    return asked_of(arguments, arguments.probe)


def asked_of(arguments: argparse.Namespace, url: str) -> Asked:
    """What the probe of `url` is to do. Raises WrongUsage."""
    from mikoshi.engine.probing.probe import Asked

    default = Asked(url)
    rate = default.rate if arguments.probe_rate is None else arguments.probe_rate
    budget = getattr(arguments, "probe_budget", None)
    header = arguments.probe_header or default.header
    limit = seconds_of("the probe's timeout", arguments.probe_timeout) if arguments.probe_timeout else default.limit
    if not 0 < rate <= MOST:
        raise WrongUsage(f"the probe's rate is a number of requests a second, up to {MOST:g}; got {rate:g}")
    if budget is not None and budget < 0:
        raise WrongUsage(f"--probe-budget is how many requests may fail, 0 or more; got {budget}")
    if not _TOKEN.fullmatch(header):
        raise WrongUsage(f"{header!r} cannot be the name of a header")
    return Asked(url, rate, budget, header, limit)


def seconds_of(name: str, written: str) -> float:
    """A duration of the command line. Raises WrongUsage."""
    from mikoshi.config.problems import Unexpected
    from mikoshi.config.values.durations import EXPECTED, time_limit

    try:
        return time_limit(written)
    except Unexpected as error:
        raise WrongUsage(f"{name} is {EXPECTED}; got {written!r}") from error
