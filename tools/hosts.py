"""Real SSH servers to try things on: `python -m tools.hosts [COUNT]` starts them and keeps them until Ctrl-C.

They are of three kinds in turn: the SSH user is root, has sudo, or has neither.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mikoshi.testing.hosts import Host, HostError, HostFleet, HostKind, HostSpec, missing_requirements


def main(arguments: Sequence[str]) -> int:
    """Start the hosts, say how to reach them, wait; the exit code."""
    parser = argparse.ArgumentParser(prog="hosts", description="Start real SSH servers on this machine.")
    parser.add_argument("count", nargs="?", type=int, default=3, help="how many (3)")
    count = parser.parse_args(arguments).count
    missing = missing_requirements()
    if missing:
        print("Hosts cannot be started here:", *missing, sep="\n  ", file=sys.stderr)
        return 1
    # Handlers and not a blocked mask: the hosts' processes would inherit the mask. INT too: a shell that starts this in
    # the background has it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="mikoshi-hosts-") as directory, HostFleet(Path(directory)) as fleet:
            hosts = fleet.start_all([HostSpec(kind) for kind in itertools.islice(itertools.cycle(HostKind), count)])
            print(guide(fleet, hosts), flush=True)
            while True:
                signal.pause()
    except HostError as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe hosts are gone.")
        return 0


def guide(fleet: HostFleet, hosts: Sequence[Host]) -> str:
    """What a person does with the hosts."""
    abilities = {
        HostKind.ROOT: "root",
        HostKind.SUDO: "passwordless sudo",
        HostKind.PLAIN: "neither root nor sudo",
    }
    listed = [
        f"  {host.name:8} {host.user + '@' + host.address:18} port {host.port}, {abilities[host.kind]}"
        for host in hosts
    ]
    names = ", ".join(f'"{host.name}"' for host in hosts)
    first = hosts[0].name if hosts else "NAME"
    return "\n".join(
        [
            "Running:",
            *listed,
            "",
            "Log in:",
            f"  ssh -F {fleet.client.path} {first}",
            "",
            "Deploy to them: this as the first line of ~/.ssh/config,",
            f"  Include {fleet.client.path}",
            "and in mikoshi.toml:",
            f"  hosts = [{names}]",
            "",
            "Ctrl-C ends them, and their disks with them.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
