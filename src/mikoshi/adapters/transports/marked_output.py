"""Tells a command's own output and status from its login shell's and its client's: by marks before and after.

The system's ssh ends with 255 both for a command that does and for a lost connection, and some login shells greet on
standard output.
"""

from __future__ import annotations

from mikoshi.ports.remote import Sink

# They begin with NUL, so that text, whole lines above all, never has to be held back.
BEGIN = b"\0MIKOSHI BEGIN\n"
END = b"\0MIKOSHI END "
_LONGEST = len(END) + len(b"255\n")


def marked(command: str) -> str:
    """`command` for /bin/sh, with a mark before its output and its status after."""
    return (
        f"printf '\\000MIKOSHI BEGIN\\n'\n(\n{command}\n)\n"
        'status=$?; printf \'\\000MIKOSHI END %d\\n\' "$status"; exit "$status"'
    )


class MarkedOutput:
    """Takes everything a marked command prints and passes on what is the command's. `status` is set at its end.

    Held back is only what may be the start of the end mark.
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
        certain = _certain(self._held)
        if certain and self._sink is not None:
            self._sink(self._held[:certain])
        self._held = self._held[certain:]
        ending = self._held.removeprefix(END)
        if ending.endswith(b"\n") and self._held.startswith(END):
            self.status = int(ending)


def _certain(data: bytes) -> int:
    """How many of the bytes are certainly the command's: all up to a possible end mark at the very end."""
    at = data.rfind(b"\0", max(0, len(data) - _LONGEST))
    if at < 0:
        return len(data)
    rest = data[at:]
    number = rest.removeprefix(END).removesuffix(b"\n")
    possible = END.startswith(rest) or (rest.startswith(END) and (number.isdigit() or rest == END))
    return at if possible else len(data)
