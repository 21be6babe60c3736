"""`python -m mikoshi.drain SERVER ARGUMENTS...`: a server by its own command line, made to drain."""

from __future__ import annotations

import sys

from mikoshi.drain.refused import Refused

USAGE = """usage: python -m mikoshi.drain uvicorn [uvicorn's own options] module:app

Serves on the listening socket that was handed over (--fd N, LISTEN_FDS or SERVER_STARTER_PORT). On TERM it stops
accepting, lets clients go for MIKOSHI_DRAIN_SECONDS (1), finishes what is in flight and exits 0.
"""


def main(arguments: list[str]) -> int:
    """Run a server to its end; the exit status. Servers exit by themselves when their command line says so."""
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
    if arguments[:1] != ["uvicorn"]:
        sys.stderr.write(USAGE)
        return 2
    try:
        run_uvicorn(arguments[1:])
    except Refused as problem:
        sys.stderr.write(f"mikoshi.drain: {problem}\n")
        return 2
    return 0


def run_uvicorn(arguments: list[str]) -> None:
    """Run its command line. Raises Refused if uvicorn is not there, or refuses itself."""
    try:
        from mikoshi.drain import uvicorn_server
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.split(".")[0] not in ("uvicorn", "click"):
            raise
        raise Refused(f"uvicorn is not installed for {sys.executable}; add it to the application") from None
    uvicorn_server.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
