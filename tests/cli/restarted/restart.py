"""restart.py [COMMAND ...]: ends the server that runs and starts COMMAND in the background, or only ends.

The server inherits the lock on the state file: it is held as long as the server lives, and then the file has the number
of its process group. So nothing else is ever signalled.
"""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

DIRECTORY = Path(os.environ["MIKOSHI_SHARED"]) / "var"
SIGNALS = ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))


def main(command: list[str]) -> None:
    """Do it, or end with a message."""
    with (DIRECTORY / "web.lock").open("ab+") as state:
        if not (locked(state, 0) or any(ended(state, number, seconds) for number, seconds in SIGNALS)):
            sys.exit("restart.py: the old server does not end")
        state.truncate(0)
        if not command:
            return
        subprocess.Popen(  # the lock and the server's number go on with the server itself
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=[state.fileno()],
            preexec_fn=lambda: os.write(state.fileno(), b"%d\n" % os.getpid()),  # noqa: PLW1509 - there are no threads
        )


def ended(state: IO[bytes], number: signal.Signals, seconds: float) -> bool:
    """Signal the server; whether it ended in time."""
    state.seek(0)
    group = state.read().strip()
    if group.isdigit():
        try:
            os.killpg(int(group), number)
        except ProcessLookupError:
            pass  # it is ending
    return locked(state, seconds)


def locked(state: IO[bytes], seconds: float) -> bool:
    """Whether the lock could be had in time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True


main(sys.argv[1:])
