"""The engine's entry: guards the streams and signals, then serves one session.

Standard output belongs to the frames alone: whatever else writes to it reaches the error output instead.
"""

from __future__ import annotations

import os
import signal
import sys

from mikoshi.node.files import Files
from mikoshi.node.server import Server
from mikoshi.node.stdio import Wire

_ENDING = (signal.SIGTERM, signal.SIGHUP)


def guarded_wire() -> Wire:
    """The session's streams, taken from descriptors 0 and 1, which then lead nowhere and to the error output."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return Wire(incoming, outgoing)


def main(files: Files | None = None) -> int:
    """Serve one session on standard input and output; the exit status."""
    if sys.getfilesystemencoding().lower() != "utf-8":
        sys.stderr.write("mikoshi: file names here are not UTF-8; start Python with -X utf8\n")
        return 1
    os.umask(0o022)
    wire = guarded_wire()
    for number in _ENDING:
        signal.signal(number, lambda *_: wire.stop())
    # A handler, not SIG_IGN: ignored signals would stay ignored in the commands that are started.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    status = Server(wire, files or Files()).serve()
    sys.stderr.flush()
    os._exit(status)
