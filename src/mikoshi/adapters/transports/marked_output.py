"""Tells a command's own output and status from its login shell's and its client's: by marks before and after.

The system's ssh ends with 255 both for a command that does and for a lost connection, and some login shells greet on
standard output.
"""

from __future__ import annotations

from mikoshi.ports.remote import Sink

BEGIN = b"\nMIKOSHI BEGIN\n"
END = b"\nMIKOSHI END "
_LONGEST = len(END) + len(b"255\n")


def marked(command: str) -> str:
    """`command` for /bin/sh, with a mark before its output and its status after."""
    return (
        f"printf '\\nMIKOSHI BEGIN\\n'\n(\n{command}\n)\n"
        'status=$?; printf \'\\nMIKOSHI END %d\\n\' "$status"; exit "$status"'
    )


class MarkedOutput:
    """Takes everything a marked command prints and passes on what is the command's. `status` is set at its end.

    The last few bytes are held back until it is clear that they are no end mark.
    """

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self._held = b""
        self._begun = False
        self.status: int | None = None

    def take(self, data: bytes) -> None:
        """More output."""
        self._held += data
        if not self._begun:
            _, begun, output = self._held.partition(BEGIN)
            if not begun:
                return
            self._begun, self._held = True, output
        before, end, status = self._held.rpartition(END)
        if end and status.endswith(b"\n") and status.strip().isdigit():
            self.status = int(status)
            self._pass(before)
            self._held = self._held[len(before) :]
        else:
            self._pass(self._held[:-_LONGEST])
            self._held = self._held[-_LONGEST:]

    def _pass(self, data: bytes) -> None:
        if data and self._sink is not None:
            self._sink(data)
