"""An engine that kills the runner around one of its requests: python -m tests.faults.runner_killer REQUEST WHEN.

WHEN is `before` the request is sent, `during` (it was sent and nobody waits for the answer), or `after` the answer.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from mikoshi.node.main import main
from mikoshi.node.runner.client import Runner

REQUEST, WHEN = sys.argv[1:3]
_ask = Runner.ask
_killed = False


def _asked(self: Runner, do: str, **fields: Any) -> Any:
    """Ask, and kill the runner once."""
    global _killed  # noqa: PLW0603 - one runner dies once in this process
    if do != REQUEST or _killed:
        return _ask(self, do, **fields)
    _killed = True
    pid = int(_ask(self, "hello")["pid"])
    if WHEN == "during":
        assert self._wire is not None
        self._wire.send({"do": do, **fields})
    if WHEN == "after":
        answer = _ask(self, do, **fields)
        os.kill(pid, signal.SIGKILL)
        return answer
    os.kill(pid, signal.SIGKILL)
    return _ask(self, do, **fields)


if __name__ == "__main__":
    Runner.ask = _asked  # type: ignore[method-assign]
    main()
