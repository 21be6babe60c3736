"""The runner proper: carries out what `supervision` decides, and answers the engine on `run/runner.sock`.

It may be killed at any moment: processes, sockets and log pipes are at the holder, which starts another one; what is
wanted stands in `run/wanted`. One thread, no waiting except for the holder, and nothing to do while nothing happens.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any, Callable

from mikoshi.core.errors import MikoshiError, ProcessNotStarted, RunnerUnavailable, to_wire
from mikoshi.node.runner import cgroups, doors, processes, sockets
from mikoshi.node.runner.environment import spec_of
from mikoshi.node.runner.holder import PIPES, SOCKETS, STOPPING
from mikoshi.node.runner.holder import PROTOCOL as HOLDER_PROTOCOL
from mikoshi.node.runner.logs import Lines, Pipe, RotatedFile
from mikoshi.node.runner.plans import DeploymentPlan, PlanUnreadable, ProcessPlan, read_plan
from mikoshi.node.runner.spawn import FIRST_DESCRIPTOR, python
from mikoshi.node.runner.supervision import Instance, Start, Supervision, Tell
from mikoshi.node.runner.wire import PeerGone, Wire

PROTOCOL = 1


class HolderGone(Exception):
    """The holder died: another one has to take over."""


class Service:
    """One environment's runner. `root` is its directory, `code` where these sources are."""

    def __init__(self, root: str, code: str, holder: Wire) -> None:
        self.root, self.code, self.holder = root, code, holder
        self.holder_pid = os.getppid()
        self.state = Supervision()
        self.sockets: dict[str, int] = {}
        self.pipes: dict[int, Pipe] = {}
        self.files: dict[str, RotatedFile] = {}
        self.plans: dict[int, DeploymentPlan] = {}
        self.clients: dict[int, Wire] = {}
        self.trials: dict[int, int] = {}  # instance → the client that asked for it
        self.results: dict[int, int] = {}  # trial that has ended → its status
        self.asker: int | None = None  # the client that wanted the current generation
        self.stopping = False
        self.leaving = False
        self.events: list[dict[str, Any]] = []

    # ── beginning ──────────────────────────────────────────────────────────────────────────────────────────────

    def recover(self) -> None:
        """Find everything again: at the holder, and in `run/wanted`. After a boot `current` is what is wanted."""
        self.holder.send({"do": "hello"})
        found: list[tuple[dict[str, Any], int]] = []
        while True:
            message, descriptors = self.holder.receive()
            if "ready" in message:
                break
            if "socket" in message:
                self.sockets[message["socket"]] = descriptors[0]
            else:
                found.append((message["child"], descriptors[0] if descriptors else -1))
        if message["ready"] != HOLDER_PROTOCOL:
            raise HolderGone
        self.stopping = message["stopping"]
        wanted = self._saved()
        for child, descriptor in found:
            self._adopt(child, descriptor)
        if self.stopping:
            self.stop()
        elif wanted["seq"]:
            self._recover_generation(wanted)

    def _saved(self) -> dict[str, Any]:
        try:
            with open(self._path("wanted"), encoding="utf-8") as file:
                saved: dict[str, Any] = json.load(file)
            if saved["boot_id"] == processes.boot_id():
                return saved
        except (OSError, ValueError, KeyError):
            pass  # a first start, or torn by a crash of the machine: `current` says it
        return {"seq": 0 if os.path.exists(os.path.join(self.root, "stopped")) else current(self.root), "key": "boot"}

    def _adopt(self, child: dict[str, Any], descriptor: int) -> None:
        meta = child["meta"]
        try:
            plan = self._plan(meta["seq"]).processes[meta["process"]]
        except (PlanUnreadable, KeyError):
            plan = ProcessPlan(meta["process"], "")
        # A foreign process is one of a generation that nobody wants: it serves until its successor does.
        generation = 0 if child["foreign"] else meta["generation"]
        instance = Instance(
            child["id"], child["pid"], generation, meta["seq"], meta["process"], meta["number"],
            meta["began"], plan, trial=meta["trial"], foreign=child["foreign"],
        )  # fmt: skip
        self.state.started(instance)
        self._attach(instance, descriptor)
        if meta["trial"]:
            self._tell(self.state.stop(instance, time.monotonic()))
        if child["status"] is not None:
            self._ended(child["id"], child["status"])

    def _recover_generation(self, wanted: dict[str, Any]) -> None:
        seq = wanted["seq"]
        try:
            plan = self._plan(seq)
        except PlanUnreadable as error:
            self._say(f"cannot run: {error}")
            return
        numbers = [one.generation for one in self.state.instances.values()]
        number = wanted.get("generation", 0) or max([0, *numbers]) + 1
        # Foreign ones serve until their successors do.
        drained = bool(wanted.get("drained", True)) and not any(one.foreign for one in self.state.instances.values())
        self.state.recover(number, seq, wanted["key"], plan.processes, drained)
        try:
            self._open_sockets(plan)
        except MikoshiError as error:
            self._say(f"cannot listen: {error}")

    # ── the loop ───────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, server: socket.socket, wake: int) -> None:
        """Serve until there is nothing left to do after TERM, or until replaced. Raises HolderGone."""
        server.setblocking(False)
        while not self.leaving:
            self._act()
            if self.stopping and not self.state.instances:
                self.holder.send({"do": "end"})
                return
            ready = self._wait(server, wake)
            if wake in ready:
                with suppress(BlockingIOError):
                    os.read(wake, 4096)
            if self.holder.fileno() in ready:
                self._hear()
            if server.fileno() in ready:
                self._accept(server)
            for descriptor in ready & set(self.clients):
                self._serve(descriptor)
            for number in [number for number, pipe in self.pipes.items() if pipe.descriptor in ready]:
                if number in self.pipes and not self.pipes[number].read():
                    self._close_pipe(number)

    def _wait(self, server: socket.socket, wake: int) -> set[int]:
        poll = select.poll()
        watched = [server.fileno(), wake, self.holder.fileno(), *self.clients]
        for descriptor in [*watched, *(pipe.descriptor for pipe in self.pipes.values())]:
            poll.register(descriptor, select.POLLIN)
        now = time.monotonic()
        deadline = self.state.deadline(now)
        return {found for found, _ in poll.poll(None if deadline is None else max(0, deadline - now) * 1000 + 1)}

    def _act(self) -> None:
        """Carry out what is decided, until nothing more is."""
        while True:
            self.state.attended = self.asker is not None
            actions = self.state.decide(time.monotonic())
            for action in actions:
                if isinstance(action, Tell):
                    self._tell(action)
                else:
                    self._start(action)
            if not actions:
                break
        self._close_unused_sockets()

    def _tell(self, action: Tell) -> None:
        self._to_holder({"do": "signal", "id": action.id, "number": action.number})

    def _to_holder(self, message: dict[str, Any], *descriptors: int) -> None:
        try:
            self.holder.send(message, descriptors)
        except PeerGone as error:
            raise HolderGone from error

    def _hear(self) -> None:
        try:
            found = self.holder.received()
        except PeerGone as error:
            raise HolderGone from error
        for message, _ in found:
            self._event(message)

    def _event(self, message: dict[str, Any]) -> None:
        if message.get("event") == "ended":
            self._ended(message["id"], message["status"])

    # ── processes ──────────────────────────────────────────────────────────────────────────────────────────────

    def _start(self, action: Start) -> None:
        generation = self.state.generations[self.state.wanted]
        plan = generation.plans[action.process]
        try:
            listener = self.sockets[plan.listen] if plan.listen else None
            self._spawn(generation.number, generation.seq, plan, action.number, plan.listen, listener)
        except (MikoshiError, PlanUnreadable, KeyError) as error:
            reason = str(getattr(error, "reason", "") or error)
            self._say(f"{action.process}.{action.number} cannot be started: {reason}")
            self.state.not_started(action.process, action.number, reason, time.monotonic())

    def _spawn(
        self, generation: int, seq: int, plan: ProcessPlan, number: int, listen: str, listener: int | None,
        trial: bool = False,
    ) -> Instance:  # fmt: skip
        """Start a process. Raises ProcessNotStarted, PlanUnreadable and HolderGone."""
        deployment, now = self._plan(seq), time.monotonic()
        spec = spec_of(
            self.root, self.code, deployment, plan, number, f"{plan.name}.{number}-{generation}", listen, trial
        )
        meta = {"process": plan.name, "number": number, "generation": generation, "seq": seq, "trial": trial,
                "began": now, "listen": "" if trial else listen}  # fmt: skip
        self._to_holder({"do": "spawn", "spec": spec, "meta": meta}, *([] if listener is None else [listener]))
        message, descriptors = self._answer_of_holder()
        if not message["spawned"]:
            raise ProcessNotStarted(plan.name, message["reason"])
        child = message["child"]
        instance = Instance(child["id"], child["pid"], generation, seq, plan.name, number, now, plan, trial)
        self.state.started(instance)
        self._attach(instance, descriptors[0])
        self._say(f"{instance.name} of deployment {seq} began{' on trial' if trial else ''}: process {instance.pid}")
        return instance

    def _answer_of_holder(self) -> tuple[dict[str, Any], list[int]]:
        """The answer to what was just asked; what the holder tells besides is kept for its turn."""
        while True:
            try:
                message, descriptors = self.holder.receive()
            except PeerGone as error:
                raise HolderGone from error
            if "spawned" in message:
                return message, descriptors
            self._event(message)

    def _attach(self, instance: Instance, descriptor: int) -> None:
        if descriptor < 0:
            return
        origin = f"{instance.name}@{instance.seq}{'?' if instance.trial else ''}"
        self.pipes[instance.id] = Pipe(descriptor, Lines(origin, self._file(instance.process)))

    def _file(self, process: str) -> RotatedFile:
        if process not in self.files:
            self.files[process] = RotatedFile(os.path.join(self.root, "log", f"{process}.log"))
        return self.files[process]

    def _close_pipe(self, number: int) -> None:
        pipe = self.pipes.pop(number, None)
        if pipe is not None:
            pipe.close()

    def _ended(self, number: int, status: int) -> None:
        self._close_pipe(number)
        instance = self.state.ended(number, status, time.monotonic())
        self._to_holder({"do": "forget", "id": number})
        if self.trials.pop(number, None) is not None:
            self.results[number] = status
        if instance is not None:
            cgroups.remove(self.root, f"{instance.name}-{instance.generation}")
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            asked = ", as it was told" if instance.stopping is not None else ""
            self._say(f"{instance.name} of deployment {instance.seq} {how}{asked}")

    # ── sockets ────────────────────────────────────────────────────────────────────────────────────────────────

    def _open_sockets(self, plan: DeploymentPlan) -> None:
        """Raises PortTaken and AddressUnusable; what was opened before stays open."""
        for process in plan.processes.values():
            if process.listen and process.listen not in self.sockets:
                listener = sockets.open_listener(process.name, process.listen)
                self.sockets[process.listen] = listener.detach()
                self._to_holder({"do": "keep", "name": process.listen}, self.sockets[process.listen])

    def _close_unused_sockets(self) -> None:
        """Close what no living process and no wanted one has: then nobody is left to take connections from it."""
        if self.asker is not None:
            return  # between `listen` and `want`
        used = {one.plan.listen for one in self.state.instances.values()}
        for generation in self.state.generations.values():
            used |= {plan.listen for plan in generation.plans.values()}
        for name in set(self.sockets) - used:
            os.close(self.sockets.pop(name))
            self._to_holder({"do": "drop", "name": name})

    # ── the engine's requests ──────────────────────────────────────────────────────────────────────────────────

    def _accept(self, server: socket.socket) -> None:
        try:
            connection, _ = server.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        client = Wire(connection)
        self.clients[client.fileno()] = client

    def _serve(self, descriptor: int) -> None:
        client = self.clients[descriptor]
        try:
            for message, _ in client.received():
                client.send(self._answered(client, message))
        except PeerGone:
            self._hang_up(descriptor)

    def _answered(self, client: Wire, message: dict[str, Any]) -> dict[str, Any]:
        do = str(message.get("do"))
        try:
            if do not in REQUESTS:
                raise RunnerUnavailable(f"it does not know the request {do!r}")
            return {"ok": REQUESTS[do](self, client, message)}
        except MikoshiError as error:
            return {"error": to_wire(error)}
        except (PlanUnreadable, OSError) as error:  # an OSError is a full disk, mostly
            return {"error": to_wire(RunnerUnavailable(str(error)))}

    def _hang_up(self, descriptor: int) -> None:
        """A client is gone: its trials end, and nobody watches over what it wanted."""
        self.clients.pop(descriptor).close()
        for number in [number for number, owner in self.trials.items() if owner == descriptor]:
            instance = self.state.instances.get(number)
            if instance is not None and instance.stopping is None:
                self._tell(self.state.stop(instance, time.monotonic()))
        if self.asker == descriptor:
            self.asker = None
        if not self.clients:
            self.results.clear()

    def hello(self, _client: Wire, _message: dict[str, Any]) -> dict[str, Any]:
        return {"protocol": PROTOCOL, "code": self.code, "pid": os.getpid(), "holder": self.holder_pid}

    def listen(self, client: Wire, message: dict[str, Any]) -> dict[str, Any]:
        self.asker = client.fileno()
        self.plans.pop(message["seq"], None)
        self._open_sockets(self._plan(message["seq"]))
        return {}

    def trial(self, client: Wire, message: dict[str, Any]) -> dict[str, Any]:
        seq, name = message["seq"], message["process"]
        plan = self._plan(seq).processes[name]
        with sockets.private_listener(plan.listen) as listener:
            address = sockets.address_of(listener)
            instance = self._spawn(0, seq, plan, 0, address, listener.fileno(), trial=True)
        self.trials[instance.id] = client.fileno()
        return {"id": instance.id, "pid": instance.pid, "address": address}

    def want(self, client: Wire, message: dict[str, Any]) -> dict[str, Any]:
        seq = message["seq"]
        if seq:
            self.plans.pop(seq, None)
            plan = self._plan(seq)
            self._open_sockets(plan)
            self._start_again()
        number = self.state.want(seq, message["key"], self._plan(seq).processes if seq else {}, message["fresh"])
        self.asker = client.fileno()
        self._save()
        self._act()
        return {"generation": number}

    def restart(self, client: Wire, message: dict[str, Any]) -> dict[str, Any]:
        """Another generation of what runs."""
        seq = current(self.root)
        return self.want(client, {"seq": seq, "key": message["key"], "fresh": True})

    def go_back(self, _client: Wire, message: dict[str, Any]) -> dict[str, Any]:
        """Want an earlier generation again that still stands."""
        self.state.go_back(message["generation"])
        self._save()
        self._act()
        return {}

    def stop_all(self, _client: Wire, _message: dict[str, Any]) -> dict[str, Any]:
        """End everything, until a deployment or a restart: over boots too."""
        with open(os.path.join(self.root, "stopped"), "w", encoding="ascii"):
            pass
        self.state.want(0, "", {})
        self.asker = None
        self._save()
        self._act()
        return {}

    def _start_again(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.root, "stopped"))

    def drain(self, _client: Wire, _message: dict[str, Any]) -> dict[str, Any]:
        self.state.drained = True
        self.asker = None
        self._save()
        self._act()
        return {}

    def end(self, _client: Wire, message: dict[str, Any]) -> dict[str, Any]:
        instance = self.state.instances.get(message["id"])
        if instance is not None and instance.stopping is None:
            self._tell(self.state.stop(instance, time.monotonic()))
        return {}

    def result(self, _client: Wire, message: dict[str, Any]) -> dict[str, Any]:
        """How a trial stands; one that nobody knows of ended with a runner that was killed."""
        number = message["id"]
        return {"running": number in self.state.instances, "status": self.results.get(number)}

    def status(self, _client: Wire, _message: dict[str, Any]) -> dict[str, Any]:
        shown = self.state.shown(time.monotonic())
        return {"processes": shown, "wanted": self.state.wanted, "pid": os.getpid(), "sockets": sorted(self.sockets)}

    def replace(self, _client: Wire, message: dict[str, Any]) -> dict[str, Any]:
        """Give way to a runner of other sources: the holder starts it when this one has ended."""
        self._to_holder({"do": "code", "code": message["code"]})
        self.leaving = True
        return {}

    # ── little things ──────────────────────────────────────────────────────────────────────────────────────────

    def _plan(self, seq: int) -> DeploymentPlan:
        if seq not in self.plans:
            self.plans[seq] = read_plan(self.root, seq)
            living = {one.seq for one in self.state.instances.values()} | {seq}
            self.plans = {number: plan for number, plan in self.plans.items() if number in living}
        return self.plans[seq]

    def _path(self, name: str) -> str:
        return os.path.join(self.root, "run", name)

    def _save(self) -> None:
        """Not synced: after a crash of the machine there are no processes, and `current` says what is wanted."""
        generation = self.state.generations.get(self.state.wanted)
        saved = {
            "boot_id": processes.boot_id(), "generation": self.state.wanted, "drained": self.state.drained,
            "seq": generation.seq if generation else 0, "key": generation.key if generation else "",
        }  # fmt: skip
        with open(self._path("wanted.new"), "w", encoding="utf-8") as file:
            json.dump(saved, file)
        os.rename(self._path("wanted.new"), self._path("wanted"))

    def _say(self, text: str) -> None:
        Lines("runner", self._file("runner")).add(text.encode("utf-8", "replace") + b"\n")

    def stop(self) -> None:
        """End everything: asked for by TERM."""
        self.stopping = True
        self.state.want(0, "", {})


# What the engine may ask for. Each may be asked again: a runner that was killed before it answered may have done it.
REQUESTS: dict[str, Callable[[Service, Wire, dict[str, Any]], dict[str, Any]]] = {
    "hello": Service.hello, "listen": Service.listen, "trial": Service.trial, "result": Service.result,
    "end": Service.end, "want": Service.want, "restart": Service.restart, "drain": Service.drain,
    "return": Service.go_back, "status": Service.status, "replace": Service.replace, "stop": Service.stop_all,
}  # fmt: skip


def current(root: str) -> int:
    """The number of the deployment that `current` leads to; 0 for none."""
    try:
        parts = os.readlink(os.path.join(root, "current")).split("/")
        return int(parts[1])
    except (OSError, IndexError, ValueError):
        return 0


def become_holder(service: Service) -> None:
    """The holder is dead and no systemd brings another: this process takes its place, sockets and all."""
    pipes = {str(number): pipe.descriptor for number, pipe in service.pipes.items()}
    for descriptor in (*service.sockets.values(), *pipes.values()):
        os.set_inheritable(descriptor, True)
    environment = {**os.environ, SOCKETS: json.dumps(service.sockets), PIPES: json.dumps(pipes)}
    environment[STOPPING] = "1" if service.stopping else ""
    command = python(service.code, "mikoshi.node.runner.holder", service.root, service.code)
    os.execve(command[0], command, environment)


def main(arguments: list[str]) -> int:
    """`service ROOT CODE`, started by the holder, which is at descriptor 3."""
    root, code = arguments
    os.umask(0o022)
    wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    os.set_inheritable(FIRST_DESCRIPTOR, False)
    service = Service(root, code, Wire(socket.socket(fileno=FIRST_DESCRIPTOR)))
    signal.signal(signal.SIGTERM, lambda *_: service.stop())
    signal.signal(signal.SIGINT, lambda *_: service.stop())
    try:
        with suppress(OSError), open(os.path.join(root, "run", "runner.pid"), "w", encoding="ascii") as file:
            file.write(str(os.getpid()))  # for people and tests: a full disk must not keep the runner away
        service.recover()
        with doors.serve(root) as server:
            service.run(server, wake)
    except (HolderGone, PeerGone):
        if not os.environ.get("NOTIFY_SOCKET"):
            become_holder(service)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
