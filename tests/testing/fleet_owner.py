"""A process that owns a fleet with one host, says who is in it, and waits to be killed."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from mikoshi.testing.hosts import HostFleet
from mikoshi.testing.hosts.processes import namespace_of

if __name__ == "__main__":
    with HostFleet(Path(sys.argv[1])) as fleet:
        host = fleet.start()
        host.run(["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 &"])
        facts = {"address": host.address, "namespace": namespace_of(host.pid)}
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()
        signal.pause()
