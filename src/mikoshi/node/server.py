"""Serves one session: requests in order, each answered once, until the deployer is done or gone."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any, Callable

from mikoshi.core import errors, messages
from mikoshi.core.errors import MikoshiError, ProtocolMismatch
from mikoshi.core.frames import BLOB, CHUNKS, Frame, MalformedFrame, blob_of, message_of, unpack_chunks
from mikoshi.node import content, fleet, machine, observe, order, running, settle, space, tail
from mikoshi.node.activate import ActivationFailed, activate
from mikoshi.node.deployments import Deployments
from mikoshi.node.files import Files
from mikoshi.node.fingerprints import Fingerprints
from mikoshi.node.flip import check_health
from mikoshi.node.identity import identify
from mikoshi.node.journal import Journal
from mikoshi.node.lease import Leases
from mikoshi.node.paths import EnvironmentPaths, environment_paths
from mikoshi.node.revert import revert
from mikoshi.node.stage import Staging
from mikoshi.node.stdio import Wire
from mikoshi.node.workspace import Event, SessionEnded, Workspace

Reply = tuple[dict[str, Any], list[bytes]]
_LEASED = (
    messages.CreateRecord, messages.UpdateRecord, messages.Stage, messages.StageEnd,
    messages.Activate, messages.Revert, messages.Settle, messages.Restart, messages.Stop, messages.Remember,
)  # fmt: skip


class Server:
    """One session over one wire."""

    def __init__(self, wire: Wire, files: Files) -> None:
        self._wire, self._files = wire, files
        self._work: Workspace | None = None
        self._staging: Staging | None = None
        self._id: Any = 0
        self._handlers: dict[type[Any], Callable[[Any, list[bytes]], Reply]] = {
            messages.Hello: self._hello,
            messages.Acquire: self._acquire,
            messages.Release: self._release,
            messages.SettingsKey: self._settings_key,
            messages.CreateRecord: self._create_record,
            messages.UpdateRecord: self._update_record,
            messages.Stage: self._stage,
            messages.StageEnd: self._stage_end,
            messages.Activate: self._activate,
            messages.Revert: self._revert,
            messages.Alive: self._alive,
            messages.Settle: self._settle,
            messages.History: self._history,
            messages.Remember: self._remember,
            messages.Describe: self._describe,
            messages.Fetch: self._fetch,
            messages.Processes: self._processes,
            messages.Restart: self._restart,
            messages.Stop: self._stop,
            messages.Logs: self._logs,
        }

    def serve(self) -> int:
        """Answer until the session ends, then give the lease back. The exit status: 1 after a damaged stream."""
        self._wire.intercept = self._renew_at_once
        self._wire.start()
        try:
            while True:
                frame = self._wire.next()
                if frame is None:
                    break
                self._take(frame)
        except SessionEnded:
            pass  # what was under way ended and is journalled; the next session goes on from there
        except MalformedFrame as error:
            self._wire.damage = str(error)
        finally:
            if self._work is not None:
                self._work.close()
                self._work.leases.release()
        if self._wire.damage:
            self._wire.send({"id": 0, "error": errors.to_wire(ProtocolMismatch(self._wire.damage))})
        return 1 if self._wire.damage else 0

    # ── requests ───────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, frame: Frame) -> None:
        if frame.kind == CHUNKS:
            if self._staging is not None:
                self._staging.accept(unpack_chunks(frame))
            return
        if frame.kind == BLOB:
            raise MalformedFrame("a blob that belongs to no message")
        message = message_of(frame)
        blobs = [self._next_blob() for _ in range(int(message.get("blobs", 0)))]
        if self._wire.ended:
            raise SessionEnded
        self._answer(message, blobs)

    def _next_blob(self) -> bytes:
        frame = self._wire.next()
        if frame is None:
            raise SessionEnded
        if frame.kind != BLOB:
            raise MalformedFrame("a message lacks its blobs")
        return blob_of(frame)

    def _answer(self, message: dict[str, Any], blobs: list[bytes]) -> None:
        self._id = message.get("id", 0)
        try:
            reply, attached = self._handle(messages.from_message(message), blobs)
        except ActivationFailed as failure:
            self._refuse(failure.cause, current=failure.current, restored=failure.restored, reason=failure.reason)
        except MikoshiError as error:
            self._refuse(error)
        except OSError as error:
            self._refuse(space.from_system(error, self._where()))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            # What a request holds is the deployer's word; an engine that is told nonsense says so and lives on.
            self._refuse(ProtocolMismatch(f"{message.get('do')}: {type(error).__name__}: {error}"))
        else:
            self._wire.send({"id": self._id, "ok": reply, "blobs": len(attached)}, attached)

    def _refuse(self, error: MikoshiError, **more: Any) -> None:
        current = {} if self._work is None else {"current": self._work.deployments.current()}
        self._wire.send({"id": self._id, "error": errors.to_wire(error), **current, **more})

    def _where(self) -> str:
        return self._work.paths.root if self._work is not None else ""

    def _handle(self, request: Any, blobs: list[bytes]) -> Reply:
        if isinstance(request, _LEASED):
            self._ready().check()
        return self._handlers[type(request)](request, blobs)

    def _ready(self) -> Workspace:
        if self._work is None:
            raise ProtocolMismatch("the first request of a session is Hello")
        return self._work

    def _renew_at_once(self, message: dict[str, Any]) -> bool:
        """In the reading thread: a renewal is answered whatever the engine is doing."""
        if message.get("do") != messages.Renew.__name__:
            return False
        number = message.get("id", 0)
        try:
            self._ready().leases.renew()
        except MikoshiError as error:
            self._wire.send({"id": number, "error": errors.to_wire(error)})
        except OSError as error:
            self._wire.send({"id": number, "error": errors.to_wire(space.from_system(error, self._where()))})
        else:
            self._wire.send({"id": number, "ok": {}, "blobs": 0})
        return True

    def _emit(self, event: Event) -> None:
        self._wire.send({"event": messages.event_to_json(event), "id": self._id})

    # ── the session and its lease ──────────────────────────────────────────────────────────────────────────────

    def _hello(self, request: messages.Hello, _blobs: list[bytes]) -> Reply:
        if request.protocol != messages.PROTOCOL:
            raise ProtocolMismatch(f"the deployer speaks {request.protocol}, the engine {messages.PROTOCOL}")
        identity = identify(request.run_as)
        paths = environment_paths(request.path, request.app, request.env, identity.root, identity.own.home)
        leases = Leases(paths.lease, self._files)
        if self._work is not None and self._work.paths == paths:
            leases = self._work.leases
        elif self._work is not None:
            self._work.leases.release()
        self._staging = None
        if self._work is not None:
            self._work.close()
        self._work = Workspace(
            paths=paths,
            files=self._files,
            identity=identity,
            leases=leases,
            journal=Journal(paths.journal, self._files),
            deployments=Deployments(paths),
            emit=self._emit,
            ended=lambda: self._wire.ended,
        )
        return observe.node_view(self._work).to_json(), []

    def _acquire(self, request: messages.Acquire, _blobs: list[bytes]) -> Reply:
        work = self._ready()
        order.make_environment(work)
        token = work.leases.acquire(request.holder, request.message, request.ttl)
        work.journal = Journal(work.paths.journal, self._files)
        work.deployments = Deployments(work.paths)
        work.fingerprints = _kept_fingerprints(work.paths)
        return {"token": token, "view": observe.node_view(work).to_json()}, []

    def _release(self, _request: messages.Release, _blobs: list[bytes]) -> Reply:
        self._ready().leases.release()
        self._staging = None
        return {}, []

    # ── the anchor ─────────────────────────────────────────────────────────────────────────────────────────────

    def _settings_key(self, request: messages.SettingsKey, _blobs: list[bytes]) -> Reply:
        work = self._ready()
        if request.create:
            work.check()
        return {"key": fleet.settings_key(work.paths, self._files, create=request.create)}, []

    def _create_record(self, request: messages.CreateRecord, _blobs: list[bytes]) -> Reply:
        return {"created": fleet.create(self._ready().paths, self._files, request.record)}, []

    def _update_record(self, request: messages.UpdateRecord, _blobs: list[bytes]) -> Reply:
        paths = self._ready().paths
        fleet.update(paths, self._files, request.seq, request.outcome, request.ended, request.causes)
        return {}, []

    # ── a deployment ───────────────────────────────────────────────────────────────────────────────────────────

    def _stage(self, request: messages.Stage, blobs: list[bytes]) -> Reply:
        work = self._ready()
        self._staging = None
        staging = Staging(work, order.decode(work, request, blobs))
        reply, bits = staging.begin()
        self._staging = staging
        return reply, [bits]

    def _stage_end(self, request: messages.StageEnd, _blobs: list[bytes]) -> Reply:
        staging, self._staging = self._staging, None
        if staging is None or staging.seq != request.seq:
            raise ProtocolMismatch(f"the staging of {request.seq} was not begun in this session")
        reply = staging.end()
        self._ready().keep_fingerprints()
        return reply, []

    def _activate(self, request: messages.Activate, _blobs: list[bytes]) -> Reply:
        begun = time.monotonic()
        changed = activate(self._ready(), request.seq, request.previous)
        return {"seconds": time.monotonic() - begun, "changed": changed}, []

    def _revert(self, request: messages.Revert, _blobs: list[bytes]) -> Reply:
        return {"changed": revert(self._ready(), request.seq)}, []

    def _alive(self, _request: messages.Alive, _blobs: list[bytes]) -> Reply:
        work = self._ready()
        current = work.deployments.current()
        if current:
            check_health(work, work.deployments.staged(current))
        return {}, []

    def _settle(self, request: messages.Settle, _blobs: list[bytes]) -> Reply:
        work = self._ready()
        pruned = settle.settle(work, request)
        work.keep_fingerprints()
        return {"pruned": pruned}, []

    def _history(self, request: messages.History, _blobs: list[bytes]) -> Reply:
        return {"entries": settle.read_history(self._ready(), request.limit)}, []

    def _remember(self, request: messages.Remember, _blobs: list[bytes]) -> Reply:
        settle.append_history(self._ready(), dict(request.entry))
        return {}, []

    # ── processes ──────────────────────────────────────────────────────────────────────────────────────────────

    def _processes(self, _request: messages.Processes, _blobs: list[bytes]) -> Reply:
        views = running.process_views(self._ready())
        return {"processes": [asdict(view) for view in views]}, []

    def _restart(self, _request: messages.Restart, _blobs: list[bytes]) -> Reply:
        begun = time.monotonic()
        running.restart(self._ready())
        return {"seconds": time.monotonic() - begun}, []

    def _stop(self, _request: messages.Stop, _blobs: list[bytes]) -> Reply:
        return {"ended": running.stop(self._ready())}, []

    def _logs(self, request: messages.Logs, _blobs: list[bytes]) -> Reply:
        tail.logs(self._ready(), request)
        return {}, []

    # ── content the node holds ─────────────────────────────────────────────────────────────────────────────────

    def _describe(self, request: messages.Describe, _blobs: list[bytes]) -> Reply:
        return {}, content.describe(self._ready(), request.release)

    def _fetch(self, request: messages.Fetch, blobs: list[bytes]) -> Reply:
        for frame in content.chunks(self._ready(), request.release, blobs[0] if blobs else b""):
            self._wire.send_frames([frame])
        return {}, []


def _kept_fingerprints(paths: EnvironmentPaths) -> Fingerprints:
    try:
        with open(paths.fingerprints, "rb") as file:
            return Fingerprints(file.read(), machine.boot_id())
    except OSError:
        return Fingerprints(boot=machine.boot_id())
