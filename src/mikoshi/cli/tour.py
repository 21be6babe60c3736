"""`mikoshi tour`: shows on this machine what Mikoshi does, with real deployments of a small application."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mikoshi.cli.parser import Parser, Verbs, verb

if TYPE_CHECKING:
    from mikoshi.cli.touring.ground import Ground


def add_to(verbs: Verbs[Parser]) -> None:
    """Add the verb."""
    parser = verb(
        verbs, "tour", run, "see an application deployed, changed, broken and brought back, on this machine",
        "Deploy a small application to nodes on this machine, change it, break it and roll it back. Needs no server\n"
        "and no root, takes well under two minutes, writes only below .demo/ and ends every process it started.",
    )  # fmt: skip
    parser.add_argument("--keep", action="store_true", help="leave the application running, to look at it")
    parser.add_argument("--end", action="store_true", help="end what an earlier tour left running with --keep")


def run(arguments: argparse.Namespace) -> int:
    """Tell every chapter; exit code 1 if a step did not do what it should."""
    from mikoshi.cli.output import counted
    from mikoshi.cli.touring.ending import NotEnded
    from mikoshi.cli.touring.ground import ground

    with ground(Path(arguments.directory)) as place:
        try:
            if arguments.end:
                print(f"{counted(place.end_servers(), 'server')} ended")
                return 0
            return _told(place, keep=arguments.keep)
        except NotEnded as error:
            sys.stderr.write(f"mikoshi: what runs in {error} was told to end and has not\n")
            return 1


def _told(place: Ground, *, keep: bool) -> int:
    from mikoshi.cli.touring import story
    from mikoshi.cli.touring.ground import ignore_signals, stop_on_signals
    from mikoshi.core.errors import Interrupted

    stop_on_signals()
    place.clear()
    completed = False
    try:
        _chapters(place)
        completed = True
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted("in the tour; every process that it had started was ended") from None
    except story.Astray as error:
        sys.stdout.flush()
        sys.stderr.write(
            f"mikoshi: the tour went astray: {error}\n  What it left is in {place.shown}, logs included.\n"
        )
        return 1
    finally:
        if not (completed and keep):
            ignore_signals()
            place.end_servers()
    _farewell(place, keep)
    return 0


def _chapters(place: Ground) -> None:
    from mikoshi.cli.output import paint
    from mikoshi.cli.touring import story
    from mikoshi.cli.touring.chapters import CHAPTERS

    print(paint("A tour of Mikoshi", "bold"))
    story.say(
        f"""What you see is no simulation: these are the commands you would type, real files and real web servers.
        All of it happens below {place.shown}/ on this machine; nothing else is touched."""
    )
    for number, chapter in enumerate(CHAPTERS, 1):
        story.heading(f"{number}. {chapter.title}")
        lacks = chapter.lacks()
        for lack in lacks:
            story.say(f"Left out: {lack.what}. {lack.remedy}")
        if not lacks:
            chapter.tell(place)


def _farewell(place: Ground, keep: bool) -> None:
    from mikoshi.cli.touring import story

    story.heading("And now")
    if keep:
        print("  The shop is still running, at the addresses above. To end it:  mikoshi tour --end")
    else:
        print("  Every process that the tour started was ended.")
    node = f"{place.shown}/nodes/web1/shop/production"
    print(f"  See what a node looks like:         ls -l {node}")
    print(f"  Read what the shop said there:      cat {node}/log/web.log")
    print("  Begin with an application of yours: mikoshi init   (in its directory; then `mikoshi plan`)")
    print("  Every key of mikoshi.toml:          mikoshi config docs")
