"""`mikoshi releases`: what is kept on this machine and can be deployed again."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from mikoshi.cli.parser import Parser, Verbs, add_json, verb


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "releases", run, "releases kept on this machine",
        "Releases kept on this machine; `mikoshi deploy --release ID` deploys one again.",
    )  # fmt: skip
    add_json(parser, "the releases")


def run(arguments: argparse.Namespace) -> int:
    """List the kept releases of the app, the most recently used first."""
    from mikoshi import wiring
    from mikoshi.cli import context
    from mikoshi.cli.output import local_time, print_json, size, table

    app = context.configuration(arguments).app
    kept = wiring.library().releases(app)
    if arguments.json:
        print_json([asdict(release) for release in kept])
        return 0
    if not kept:
        print(f"no release of {app} is kept here yet; `mikoshi deploy` makes one")
        return 0
    rows = [
        {
            "id": release.id[:12],
            "at": local_time(release.at),
            "by": release.by,
            "commit": f"{release.commit[:10]}{' with changes' if release.dirty else ''}",
            "files": release.files,
            "size": size(release.size),
            "platform": release.platform,
            "message": release.message,
        }
        for release in kept
    ]
    columns = {
        "id": "RELEASE", "at": "MADE", "by": "WHO", "commit": "COMMIT", "files": "FILES", "size": "SIZE",
        "platform": "PLATFORM", "message": "WHY",
    }  # fmt: skip
    print(table(rows, columns))
    return 0
