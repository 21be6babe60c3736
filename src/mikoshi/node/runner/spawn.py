"""Starts one process as it is described: user, limits, cgroup, descriptors, environment. Used by the holder alone.

The child's part runs between fork and exec in a process of one thread, so it may be Python.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

FIRST_DESCRIPTOR = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START
_HIGH = 200  # where descriptors wait while 3 and above are filled
_RESET = (signal.SIGPIPE, signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class SpawnFailed(Exception):
    """The process did not come to be; the text says which step failed, and why."""


def spawn(spec: Mapping[str, Any], listeners: Sequence[int], output: int) -> int:
    """Start a process; its pid. `listeners` become descriptors 3 and up, `output` 1 and 2. Raises SpawnFailed.

    `spec`: argv, env, cwd, uid, gid, groups (uid null: nobody else), nofile (0: as it is), cgroups (files to write to).
    """
    told, tell = os.pipe2(os.O_CLOEXEC)
    try:
        pid = os.fork()
        if pid == 0:
            _become(spec, listeners, output, tell)
        os.close(tell)
        tell = -1
        failure = b""
        while part := os.read(told, 4096):
            failure += part
    finally:
        os.close(told)
        if tell >= 0:
            os.close(tell)
    if failure:
        os.waitpid(pid, 0)
        raise SpawnFailed(failure.decode("utf-8", "replace"))
    return pid


def _become(spec: Mapping[str, Any], listeners: Sequence[int], output: int, tell: int) -> None:
    """In the child: never returns."""
    doing = "start"
    try:
        os.setsid()
        for number in _RESET:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(0o022)
        for file in spec.get("cgroups", ()):
            doing = f"join {file}"
            _write(file, b"0")
        doing = "arrange descriptors"
        tell = _arrange(listeners, output, tell)
        if spec.get("nofile"):
            doing = "set limits.files"
            resource.setrlimit(resource.RLIMIT_NOFILE, (spec["nofile"], spec["nofile"]))
        if spec.get("uid") is not None:
            doing = f"become user {spec['uid']}"
            os.setgroups(spec["groups"])
            os.setgid(spec["gid"])
            os.setuid(spec["uid"])
        doing = f"enter {spec['cwd']}"
        os.chdir(spec["cwd"])
        doing = f"run {spec['argv'][0]}"
        environment = dict(spec["env"])
        if "LISTEN_FDS" in environment:
            environment["LISTEN_PID"] = str(os.getpid())
        os.execve(spec["argv"][0], spec["argv"], environment)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the child must not go on as the holder
        text = f"could not {doing}: {getattr(error, 'strerror', None) or error}"
        os.write(tell, text.encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _arrange(listeners: Sequence[int], output: int, tell: int) -> int:
    """Put every descriptor where the process expects it; where `tell` is now."""
    import fcntl

    tell = fcntl.fcntl(tell, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    waiting = [fcntl.fcntl(listener, fcntl.F_DUPFD_CLOEXEC, _HIGH) for listener in listeners]
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for number, descriptor in enumerate(waiting, FIRST_DESCRIPTOR):
        os.dup2(descriptor, number)
    return tell


def _write(path: str, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def python(code: str, module: str, *arguments: str) -> list[str]:
    """The command line that runs the `main` of a module below the directory `code`, with nothing of the site's."""
    program = f"import sys; sys.path.insert(0, {code!r}); from {module} import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", program, *arguments]
