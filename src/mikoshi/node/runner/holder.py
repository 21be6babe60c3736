"""The holder: parent of every process, keeper of listening sockets and log pipes. It decides nothing.

It is never replaced while the machine runs, so it does as little as can be: what it does not know it cannot do
wrong. It starts the runner, and starts it again whenever it ends. If the holder itself dies, systemd or the runner
brings a new one, with the sockets; processes go on, as `foreign` ones whose exit status nobody will know.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mikoshi.node.runner import processes, systemd
from mikoshi.node.runner.spawn import SpawnFailed, python, spawn
from mikoshi.node.runner.wire import PeerGone, Wire

PROTOCOL = 1
SOCKETS, PIPES = "MIKOSHI_HOLDER_SOCKETS", "MIKOSHI_HOLDER_PIPES"  # what a dying holder's runner hands on: name → fd
STOPPING = "MIKOSHI_HOLDER_STOPPING"  # not empty: the dead holder had been told to end everything
MARK = "MIKOSHI_CHILD"
CLOSED = "closed"  # a file in the environment's directory: no holder begins there, and an heir ends what is left
_PR_SET_CHILD_SUBREAPER = 36
_AGAIN = (0.0, 0.1, 0.5, 2.0, 5.0)  # seconds before the runner is started again
_STEADY = 10.0
_SHELLS = ("sh", "dash", "bash", "ash", "busybox")


@dataclass
class Child:
    """A process. `status` as in `os.waitstatus_to_exitcode`, None while it runs; `watch` is a foreign one's pidfd."""

    id: int
    pid: int
    started: int
    meta: Any
    pipe: int = -1
    status: int | None = None
    foreign: bool = False
    watch: int = -1

    def described(self) -> dict[str, Any]:
        """What the runner is told."""
        facts = {"id": self.id, "pid": self.pid, "started": self.started, "meta": self.meta}
        return {**facts, "status": self.status, "foreign": self.foreign}


@dataclass
class Holder:
    """One environment's holder; `root` is the environment's directory, `code` where the runner's sources are."""

    root: str
    code: str
    sockets: dict[str, int] = field(default_factory=dict)
    children: dict[int, Child] = field(default_factory=dict)
    runner: int = 0
    wire: Wire | None = None
    next_id: int = 1
    failures: int = 0
    runner_began: float = 0.0
    ending: bool = False
    stopping: bool = False

    # ── the loop ───────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, wake: int) -> int:
        """Serve until everything has ended after TERM."""
        while not (self.ending and not self.runner):
            if not self.runner:
                self._start_runner()
            poll = select.poll()
            poll.register(wake, select.POLLIN)
            if self.wire is not None:
                poll.register(self.wire.fileno(), select.POLLIN)
            for child in self.children.values():
                if child.watch >= 0:
                    poll.register(child.watch, select.POLLIN)
            ready = {descriptor for descriptor, _ in poll.poll()}
            if wake in ready:
                with suppress(BlockingIOError):
                    os.read(wake, 4096)
            self._reap()
            if self.wire is not None and self.wire.fileno() in ready:
                self._take()
        return 0

    def _start_runner(self) -> None:
        if time.monotonic() - self.runner_began > _STEADY:
            self.failures = 0
        time.sleep(_AGAIN[min(self.failures, len(_AGAIN) - 1)])
        self.failures += 1
        self.runner_began = time.monotonic()
        ours, theirs = socket.socketpair()
        with theirs:
            spec = {
                "argv": python(self.code, "mikoshi.node.runner.service", self.root, self.code),
                "env": {name: os.environ[name] for name in ("PATH", "NOTIFY_SOCKET") if name in os.environ},
                "cwd": "/",
            }
            log = os.open(os.path.join(self.root, "log", "runner.err"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
            try:
                self.runner = spawn(spec, [theirs.fileno()], log)
            finally:
                os.close(log)
        self.wire = Wire(ours)

    def _drop_runner(self) -> None:
        if self.wire is not None:
            self.wire.close()
            self.wire = None

    # ── ends of processes ──────────────────────────────────────────────────────────────────────────────────────

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self._ended(pid, os.waitstatus_to_exitcode(status))
        for child in list(self.children.values()):
            if child.foreign and child.status is None and processes.started(child.pid) != child.started:
                self._is_over(child, -1)

    def _ended(self, pid: int, status: int) -> None:
        if pid == self.runner:
            self._last_words()
            self.runner = 0
            self._drop_runner()
            return
        for child in self.children.values():
            if child.pid == pid and child.status is None:
                self._is_over(child, status)

    def _last_words(self) -> None:
        """What the runner said before it ended still counts."""
        if self.wire is not None:
            with suppress(PeerGone):
                for message, descriptors in self.wire.received():
                    self._answer(message, descriptors)

    def _is_over(self, child: Child, status: int) -> None:
        """The rest of its group goes with it: nobody would look after it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.status = status
        if child.watch >= 0:
            os.close(child.watch)
            child.watch = -1
        self._save()
        self._tell({"event": "ended", "id": child.id, "status": status})

    def _tell(self, message: dict[str, Any], *descriptors: int) -> None:
        if self.wire is None:
            return
        try:
            self.wire.send(message, descriptors)
        except PeerGone:
            self._give_up_runner()

    def _give_up_runner(self) -> None:
        """A runner that does not take part in the conversation is ended; the next one finds everything here."""
        self._drop_runner()
        if self.runner:
            with suppress(ProcessLookupError):
                os.kill(self.runner, signal.SIGKILL)

    # ── what the runner asks ───────────────────────────────────────────────────────────────────────────────────

    def _take(self) -> None:
        assert self.wire is not None
        try:
            found = self.wire.received()
        except PeerGone:
            self._give_up_runner()
            return
        for message, descriptors in found:
            self._answer(message, descriptors)

    def _answer(self, message: dict[str, Any], descriptors: list[int]) -> None:
        do = message.get("do")
        if do == "hello":
            self._hello()
        elif do == "keep":
            self._keep(message["name"], descriptors[0])
        elif do == "drop":
            self._drop(message["name"])
        elif do == "spawn":
            self._spawn(message, descriptors)
        elif do == "signal":
            self._signal(self.children.get(message["id"]), message["number"])
        elif do == "forget":
            self._forget(message["id"])
        elif do == "code":
            self.code = message["code"]
        elif do == "end":
            self.ending = True

    def _hello(self) -> None:
        for name, descriptor in self.sockets.items():
            self._tell({"socket": name}, descriptor)
        for child in self.children.values():
            self._tell({"child": child.described()}, *([child.pipe] if child.pipe >= 0 else []))
        self._tell({"ready": PROTOCOL, "pid": os.getpid(), "stopping": self.stopping})

    def _keep(self, name: str, descriptor: int) -> None:
        if name in self.sockets:
            os.close(descriptor)
            return
        self.sockets[name] = descriptor
        systemd.store(name, descriptor)

    def _drop(self, name: str) -> None:
        descriptor = self.sockets.pop(name, -1)
        if descriptor >= 0:
            os.close(descriptor)
            systemd.unstore(name)

    def _spawn(self, message: dict[str, Any], listeners: list[int]) -> None:
        number, self.next_id = self.next_id, self.next_id + 1
        spec = message["spec"]
        spec["env"][MARK] = str(number)
        reader = writer = -1
        try:
            reader, writer = os.pipe2(os.O_CLOEXEC)
            pid = spawn(spec, listeners, writer)
        except (SpawnFailed, OSError) as error:
            if reader >= 0:
                os.close(reader)
            self._tell({"spawned": 0, "reason": str(error)})
            return
        finally:
            for descriptor in (writer, *listeners):
                if descriptor >= 0:
                    os.close(descriptor)
        child = Child(number, pid, processes.started(pid), message["meta"], reader)
        self.children[number] = child
        self._save()
        self._tell({"spawned": number, "child": child.described()}, reader)

    def _signal(self, child: Child | None, number: int) -> None:
        """A server looks after its own workers: the leader alone is told to stop. A shell passes nothing on, and what
        is to die dies whole: there the group is told."""
        if child is None or child.status is not None:
            return
        whole = number == signal.SIGKILL or processes.name(child.pid) in _SHELLS
        with suppress(ProcessLookupError, PermissionError):
            (os.killpg if whole else os.kill)(child.pid, number)

    def _forget(self, number: int) -> None:
        """An ended child is known no longer, and what it left elsewhere, in sessions of its own, ends too."""
        child = self.children.get(number)
        if child is None or child.status is None:
            return
        del self.children[number]
        if child.pipe >= 0:
            os.close(child.pipe)
        mark, own = f"{MARK}={number}", os.getpid()
        if not child.foreign:
            for pid in processes.all_pids():
                if processes.parent(pid) == own and pid != self.runner and processes.carries(pid, mark):
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
        self._save()

    def _save(self) -> None:
        """What a next holder finds the processes by. Not synced: after a power loss there are none."""
        living = [child.described() for child in self.children.values() if child.status is None]
        path = os.path.join(self.root, "run", "processes")
        with suppress(OSError), open(path + ".new", "w", encoding="utf-8") as file:
            json.dump({"boot_id": processes.boot_id(), "next": self.next_id, "children": living}, file)
            file.flush()
            os.rename(path + ".new", path)


def inherited(root: str) -> tuple[dict[str, int], dict[int, Child], int]:
    """Sockets, processes and the next number, as an earlier holder of this boot left them."""
    sockets = systemd.stored()
    sockets.update(json.loads(os.environ.pop(SOCKETS, "{}")))
    pipes = {int(number): descriptor for number, descriptor in json.loads(os.environ.pop(PIPES, "{}")).items()}
    for descriptor in (*sockets.values(), *pipes.values()):
        os.set_inheritable(descriptor, False)
    children: dict[int, Child] = {}
    try:
        with open(os.path.join(root, "run", "processes"), encoding="utf-8") as file:
            saved = json.load(file)
    except (OSError, ValueError):
        saved = {"boot_id": "", "next": 1, "children": []}
    if saved["boot_id"] == processes.boot_id():
        for one in saved["children"]:
            if processes.started(one["pid"]) == one["started"]:
                child = Child(
                    one["id"], one["pid"], one["started"], one["meta"], pipes.pop(one["id"], -1), foreign=True
                )
                with suppress(OSError, AttributeError):
                    child.watch = os.pidfd_open(child.pid)
                children[child.id] = child
    for descriptor in pipes.values():
        os.close(descriptor)
    _rescue(sockets, children)
    return sockets, children, int(saved["next"])


def _rescue(sockets: dict[str, int], children: dict[int, Child]) -> None:
    """Sockets that only processes have left, because holder and runner died together."""
    for child in children.values():
        listen = child.meta.get("listen", "")
        if listen and listen not in sockets:
            from mikoshi.node.runner.rescue import rescued  # seldom needed, and not small

            found = rescued(child.pid, listen)
            if found >= 0:
                sockets[listen] = found
                systemd.store(listen, found)


def main(arguments: list[str]) -> int:
    """`holder ROOT CODE`: hold the environment in ROOT. 0 also if another one does already; 1 in a closed place."""
    root, code = arguments
    endings = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)  # until there is a handler: whoever reads the pid may use it
    lock = os.open(os.path.join(root, "run", "holder.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    # Looked for under the lock: whoever made the mark and then finds the lock free knows that nothing will stay.
    closed = os.path.exists(os.path.join(root, CLOSED))
    if closed and SOCKETS not in os.environ:
        sys.stderr.write(f"{root} has the mark `{CLOSED}`: nothing is started here any more\n")
        return 1
    os.ftruncate(lock, 0)
    os.write(lock, b"%d\n" % os.getpid())
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.environ.get("NOTIFY_SOCKET"):
        from mikoshi.node.runner import cgroups  # only under systemd, which delegates a group

        cgroups.step_aside()
    wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    sockets, children, number = inherited(root)
    stopping = closed or bool(os.environ.pop(STOPPING, ""))
    holder = Holder(root, code, sockets, children, next_id=number, stopping=stopping)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for ending in endings:
        signal.signal(ending, lambda *_: _end(holder))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, endings)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    systemd.notify("READY=1")
    return holder.run(wake)


def _end(holder: Holder) -> None:
    """The runner stops what runs and says when that is done."""
    holder.stopping = True
    if holder.runner:
        with suppress(ProcessLookupError):
            os.kill(holder.runner, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
