"""Process 1 of a fleet: lives as long as the process that owns the fleet, and all of the fleet as long as it.

Run as a program, with the number of an inherited descriptor: a pidfd of the owner. When process 1 of a pid
namespace ends, the kernel kills all others in it and in the namespaces below it, and the mounts that only
they held are gone: nothing is left behind, whichever way the owner ends. Imports only the standard library.
"""

import select
import signal
import sys
from pathlib import Path


def main(owner_pidfd: int) -> None:
    """Announce on stdout that the namespaces exist, then wait for the owner's end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # orphans of the fleet end up here; the kernel reaps them
    # /proc is still the one of the owner's pid namespace: this is the pid by which the owner knows us.
    pid = Path("/proc/self/stat").read_text().split()[0]
    sys.stdout.write(f"{pid}\n")
    sys.stdout.flush()
    poll = select.poll()
    poll.register(owner_pidfd, select.POLLIN)
    while not poll.poll():
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]))
