"""What is said between deployer and host before the engine speaks. Pure: text and bytes in, text and bytes out.

One command line starts everything. The host answers with lines `MIKOSHI <digest> <word>`: HAVE (frames follow), NEED
(send `installation`), NOPYTHON, UNUSABLE or DAMAGED. What a login shell prints before the first of them is skipped.

The command line is read by the login shell first, and only that one's grammar is unknown. So it is one word list with
one single-quoted argument in which neither a single quote nor a backslash, `!` or newline occurs: that means the same
to sh, bash, zsh, ksh, csh and fish.
"""

from __future__ import annotations

import json
import string
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mikoshi.adapters.transports.engine_zip import EngineZip
from mikoshi.core.errors import ConnectionLost, PathUnusable, ProtocolMismatch, PythonMissing

NOISE_LIMIT = 64 << 10
ROOT_DIRECTORY = "/var/lib/mikoshi/engine"
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_NAMES = " ".join(["python3", *(f"python3.{minor}" for minor in range(15, 8, -1))])
_VERSION = "import sys;print(*(sys.version_info>=(3,9) and (1,sys.executable) or (0,sys.version.split()[0])))"
_RECEIVE = "import sys;exec(eval(open(0,sys.argv[1],0,closefd=False).readline()))"
_PLAIN = string.ascii_letters + string.digits + " ./_-,+:=@"

# $1: the engine's digest. $2 and $3: directory and interpreter, where they are not to be found out.
_LINES = f"""
set -f;
g=$1 d=$2 p=$3 s= f=;
PATH=$PATH:{_SYSTEM_PATH}; export PATH;
if [ -z "$d" ]; then
  d={ROOT_DIRECTORY};
  if [ "$(id -u)" -gt 0 ]; then
    if sudo -n sh -c : </dev/null >/dev/null 2>&1; then s="sudo -n"; PATH={_SYSTEM_PATH};
    else d=${{XDG_CACHE_HOME:-$HOME/.cache}}/mikoshi/engine; fi;
  fi;
fi;
e=$d/$g;
if [ -r "$e/python" ] && {{ [ -n "$p" ] || read -r p <"$e/python"; }} && [ -x "$p" ]; then
  echo; echo "MIKOSHI $g HAVE"; exec $s "$p" -I -S "$e";
fi;
p=$3;
if [ -z "$p" ]; then
  for c in {_NAMES}; do
    v=$("$c" -I -S -c "{_VERSION}" </dev/null 2>/dev/null);
    case $v in
      "1 "*) p=${{v#1 }}; break ;;
      "0 "*) f=${{v#0 }} ;;
      *) if [ -z "$f" ] && command -v "$c" >/dev/null 2>&1; then f=$("$c" -V </dev/null 2>&1); fi ;;
    esac;
  done;
fi;
echo;
if [ -z "$p" ]; then echo "MIKOSHI $g NOPYTHON" $f; exit 0; fi;
echo "MIKOSHI $g NEED";
exec $s "$p" -I -S -c "{_RECEIVE}" rb "$d" "$g";
"""
SCRIPT = " ".join(line.strip() for line in _LINES.strip().splitlines())


def command_line(engine: EngineZip) -> str:
    """The one command line for a host's login shell, whichever that is."""
    return f"exec sh -c '{SCRIPT}' mikoshi {engine.digest}"


def shell_command(command: str) -> str:
    """`command` for /bin/sh, whatever the login shell is and whatever characters it holds."""
    coded = "".join(char if char in _PLAIN else _octal(char) for char in command)
    return f"exec sh -c 'eval \"$(printf %b \"$1\")\"' sh '{coded}'"


def _octal(char: str) -> str:
    return "".join(f"\\0{byte:03o}" for byte in char.encode(errors="surrogateescape"))


def local_command(engine: EngineZip, directory: Path, python: str) -> list[str]:
    """The same on this machine, without a login shell: engines below `directory`, run by `python`, never by sudo."""
    return ["/bin/sh", "-c", SCRIPT, "mikoshi", engine.digest, str(directory), python]


@cache
def installation(engine: EngineZip) -> bytes:
    """What a host that lacks the engine is sent: one line that is the installer, then the compressed archive."""
    source = Path(__file__).with_name("installer.py").read_text()
    call = f"main(sys.argv[2], {engine.digest!r}, {len(engine.wire)})"
    return f"{source}\n{call}\n".__repr__().encode() + b"\n" + engine.wire


@dataclass
class Greeting:
    """Reads what a host says until its engine speaks. Sans-IO: feed it, and do what it asks for.

    After `feed` returned True, `rest` holds what has arrived of the engine's frames.
    """

    engine: EngineZip
    rest: bytes = b""
    _buffer: bytearray = field(default_factory=bytearray)
    _noise: int = 0
    wants_engine: bool = False

    def feed(self, data: bytes) -> bool:
        """Whether the engine is there. `wants_engine` is set if `installation` has to be sent (once).

        Raises PythonMissing, PathUnusable, ConnectionLost (the archive was damaged on its way) or ProtocolMismatch.
        """
        self._buffer += data
        start = 0
        while (end := self._buffer.find(b"\n", start)) >= 0:
            line, start = bytes(self._buffer[start:end]), end + 1
            _, found, words = line.rpartition(f"MIKOSHI {self.engine.digest} ".encode())
            if not found:
                self._noise += len(line) + 1
            elif self._take(words.decode(errors="replace").strip()):
                self.rest = bytes(self._buffer[start:])
                return True
        self._check_noise()
        del self._buffer[:start]
        return False

    def _take(self, words: str) -> bool:
        word, _, rest = words.partition(" ")
        match word:
            case "HAVE":
                return True
            case "NEED":
                self.wants_engine = True
                return False
            case "NOPYTHON":
                raise PythonMissing(found=rest)
            case "DAMAGED":
                raise ConnectionLost(during="start of the engine", detail="the engine arrived damaged")
            case "UNUSABLE":
                path, reason = json.loads(rest)
                raise PathUnusable(path=path, reason=reason)
            case _:
                raise ProtocolMismatch(detail=f"unknown answer {words!r}")

    def _check_noise(self) -> None:
        if self._noise > NOISE_LIMIT or len(self._buffer) > 2 * NOISE_LIMIT:
            printed = bytes(self._buffer[:200])
            raise ProtocolMismatch(detail=f"the login shell printed over {NOISE_LIMIT} bytes, such as {printed!r}")
