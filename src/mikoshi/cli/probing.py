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
    """How the URL is asked."""
    parser.add_argument(f"{prefix}rate", dest="probe_rate", type=float, metavar="N", help="requests a second (20)")
    parser.add_argument(
        f"{prefix}header",
        dest="probe_header",
        metavar="NAME",
        help="the answers' header that names the deployment (X-Mikoshi-Seq)",
    )


def asked(arguments: argparse.Namespace) -> Asked | None:
    """What the probe is to do, None without --probe. Raises WrongUsage."""
    if getattr(arguments, "probe", None) is None:
        for option in ("budget", "rate", "header"):
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
    if not 0 < rate <= MOST:
        raise WrongUsage(f"the probe's rate is a number of requests a second, up to {MOST:g}; got {rate:g}")
    if budget is not None and budget < 0:
        raise WrongUsage(f"--probe-budget is how many requests may fail, 0 or more; got {budget}")
    if not _TOKEN.fullmatch(header):
        raise WrongUsage(f"{header!r} cannot be the name of a header")
    return Asked(url, rate, budget, header)
