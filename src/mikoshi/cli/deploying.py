"""What plan, deploy and rollback share: the job for the engine, made of the command line and the configuration."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mikoshi import wiring
from mikoshi.adapters.clock import SystemClock
from mikoshi.cli import context
from mikoshi.cli.probing import asked
from mikoshi.cli.progress import JsonLines, Lines
from mikoshi.config import secrets as config_secrets
from mikoshi.config.settings import settings_of
from mikoshi.core.deployment import FleetRecord, Settings
from mikoshi.core.errors import MikoshiError, SecretsMissing, WrongUsage, brief
from mikoshi.core.events import AttemptBegan, BuildBegan, BuildOutput, CommandBegan, Event, Note
from mikoshi.engine import history, source
from mikoshi.engine.deploy import Job, Result, Secrets, Wanted, deploy
from mikoshi.engine.deploy import plan as make_plan
from mikoshi.engine.source import Available
from mikoshi.packing import progress as news
from mikoshi.packing.buildsite import build_site
from mikoshi.packing.pack import Occasion, Source, pack
from mikoshi.packing.platform import local_platform
from mikoshi.packing.remotebuilder import RemoteBuilder
from mikoshi.styles.push.observe import FleetView
from mikoshi.styles.push.reconcile import rollback_target

if TYPE_CHECKING:
    from mikoshi.config.model import Environment
    from mikoshi.core.plan import Plan
    from mikoshi.core.release import Manifest
    from mikoshi.engine.fleet import Fleet
    from mikoshi.engine.probing.probe import Probe
    from mikoshi.packing.builder import Builder
    from mikoshi.packing.pack import Packed
    from mikoshi.ports.clock import Clock

Printer = JsonLines | Lines
Chosen = Callable[["Fleet", FleetView], Coroutine[Any, Any, Wanted | None]]


@dataclass
class Command:
    """One run of plan, deploy or rollback. `begun` collects the numbers of attempts, for Interrupted."""

    arguments: argparse.Namespace
    environment: Environment
    verb: str
    printer: Printer
    begun: list[int] = field(default_factory=list)
    files: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    available: Available | None = None
    packing: asyncio.Future[Available] | None = None
    probe: Probe | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def emit(self, event: Event) -> None:
        """Print an event, and remember the attempt that it may be."""
        if isinstance(event, AttemptBegan):
            self.begun.append(event.seq)
        self.printer(event)

    # ── what is wanted ─────────────────────────────────────────────────────────────────────────────────────

    async def from_source(self, fleet: Fleet, _observed: FleetView) -> Wanted:
        """The work tree, a git ref (--ref) or a kept release (--release), with today's settings and secrets."""
        arguments = self.arguments
        if arguments.release and arguments.ref:
            raise WrongUsage("--ref and --release exclude each other")
        if arguments.release:
            library = wiring.library()
            self.available = source.kept(library, library.find(self.environment.app, arguments.release))
        else:
            self.available = await (self.packing or self._pack(fleet.clock, self._builder(fleet)))
        values = self._secrets()
        environment = self.environment
        return Wanted(
            self.available.content, lambda macs: settings_of(environment, macs), Secrets(values), only=self.only
        )

    async def from_past(self, fleet: Fleet, observed: FleetView) -> Wanted | None:
        """What a rollback takes: nothing new while an attempt is unfinished, else an earlier known good deployment."""
        if observed.unfinished is not None and not self.arguments.to:
            return None
        target = rollback_target(observed, self.arguments.to or 0)
        library = wiring.library()
        self.available = await source.kept_somewhere(
            library, fleet, target.deployment.release, self.files, wiring.cache_directory() / "wire"
        )
        secrets = self._past_secrets(target)
        origin = target.deployment.origin or target.seq
        return Wanted(self.available.content, lambda macs: _past_settings(target, macs), secrets, origin)

    @property
    def only(self) -> tuple[str, ...]:
        """The hosts named by --only."""
        return context.chosen_hosts(self.environment, getattr(self.arguments, "only", None) or ())

    def begin_packing(self, clock: Clock) -> None:
        """Pack while the hosts are being reached, where no host is needed for it. Needs a running event loop."""
        arguments = self.arguments
        if not self.environment.release.build and not arguments.release:
            self.packing = asyncio.ensure_future(self._pack(clock))

    async def stop_packing(self) -> None:
        """End what packs, so that no thread and no build outlives the command."""
        self.stop.set()
        if self.packing is not None:
            self.packing.cancel()
            await asyncio.gather(self.packing, return_exceptions=True)

    def _builder(self, fleet: Fleet) -> Builder | None:
        """The host to build on, None for this machine: as `build_on` says and the nodes' platforms need."""
        environment = self.environment
        platforms = {
            host.address: fleet.views[host.name].platform for host in environment.hosts if host.name in fleet.views
        }
        site = build_site(environment.release.build_on, bool(environment.release.build), local_platform(), platforms)
        if site.address is None:
            return None
        shell = wiring.remote_shell(environment.ssh)
        loop, scratch = asyncio.get_running_loop(), wiring.cache_directory() / "build"
        return RemoteBuilder(wiring.library().objects, shell, site.address, loop, scratch, self.stop)

    async def _pack(self, clock: Clock, builder: Builder | None = None) -> Available:
        return await source.packed(self._maker(builder), clock, self.emit)

    def _maker(self, builder: Builder | None) -> Callable[[], Packed]:
        environment, ref = self.environment, self.arguments.ref or ""
        occasion = Occasion(
            environment.app, environment.name, context.who(), time.time(), getattr(self.arguments, "message", "")
        )
        origin = Source(environment.root, ref, clean=environment.source == "clean" and not ref)
        return lambda: pack(
            origin,
            environment.release,
            environment.shared,
            occasion,
            wiring.library(),
            wiring.cache_directory(),
            self._heard,
            builder,
            self.stop,
        )

    def _heard(self, progress: news.Progress) -> None:
        """A packing thread's news as events."""
        match progress:
            case news.BuildStarted(command, where):
                self.emit(BuildBegan(command, f"on {where}" if where else "here", reused=False))
            case news.BuildSkipped(command):
                self.emit(BuildBegan(command, "here", reused=True))
            case news.BuildLine(line):
                self.emit(BuildOutput(line))
            case news.FilesRead():
                pass

    def _secrets(self) -> Mapping[str, str]:
        found = config_secrets.resolve(self.environment, os.environ, _prompt())
        for note in found.notes:
            self.emit(Note(note))
        return found.values

    def _past_secrets(self, target: FleetRecord) -> Secrets:
        """Today's values of the old deployment's secrets; those without one stay as they are on the nodes."""
        names = tuple(target.settings.secrets)
        environment = replace(self.environment, secrets=names)
        try:
            return Secrets(config_secrets.resolve(environment, os.environ, None).values)
        except SecretsMissing as error:
            known = tuple(name for name in names if name not in error.names)
            values = config_secrets.resolve(replace(environment, secrets=known), os.environ, None).values
            self.emit(Note(f"no value here for {', '.join(error.names)}: each node keeps the one it runs with"))
            return Secrets(values, tuple(error.names))

    # ── the job ────────────────────────────────────────────────────────────────────────────────────────────

    def job(self, wanted: Chosen) -> Job:
        """The engine's job."""
        return Job(
            verb=self.verb,
            by=context.who(),
            message=getattr(self.arguments, "message", ""),
            policy=self.environment.rollout,
            keep=self.environment.keep,
            scratch=wiring.cache_directory() / "wire",
            wanted=wanted,
            base_manifest=self._base_manifest(),
            foreign_files=lambda platform: self.available.foreign_files(platform) if self.available else [],
            only=self.only,
            probe=self.probe,
        )

    def _base_manifest(self) -> Callable[[str], Manifest | None]:
        return source.base_manifest(wiring.library())


def _past_settings(target: FleetRecord, macs: Mapping[str, str]) -> Settings:
    return replace(target.settings, secrets=dict(macs))


def _prompt() -> Callable[[str], str] | None:
    """How to ask for a secret: on a terminal only, and never in CI."""
    if os.environ.get("CI") or not sys.stdin.isatty():
        return None
    import getpass

    return lambda name: getpass.getpass(f"{name}: ")


def printer(arguments: argparse.Namespace) -> Printer:
    """How this command shows its events."""
    return JsonLines(SystemClock()) if arguments.json else Lines()


@contextlib.asynccontextmanager
async def _fleet(command: Command, wanted: Chosen) -> AsyncIterator[Fleet]:
    """The nodes, not yet connected; what is deployed from source is packed meanwhile."""
    async with wiring.fleet(command.environment, command.emit) as fleet:
        if wanted == command.from_source:
            command.begin_packing(fleet.clock)
        try:
            yield fleet
        finally:
            await command.stop_packing()


def carry_out(arguments: argparse.Namespace, verb: str, choose: Callable[[Command], Chosen]) -> int:
    """A verb that changes something: what it chooses is deployed, or with --dry-run only planned and shown."""
    from mikoshi.cli.planned import show_plan

    command = Command(arguments, context.environment(arguments, verb), verb, printer(arguments))
    if (probing := asked(arguments)) is not None:
        command.probe = wiring.probe(probing, command.emit)
    wanted = choose(command)
    if arguments.dry_run:
        show_plan(run_plan(command, wanted), command)
    else:
        run_deploy(command, wanted)
    return 0


def run_plan(command: Command, wanted: Chosen) -> Plan:
    """Make the plan and return it."""

    async def planning() -> Plan:
        async with _fleet(command, wanted) as fleet:
            return await make_plan(fleet, command.job(wanted))

    with command.files, wiring.library().in_use():
        return context.run(planning())


def run_deploy(command: Command, wanted: Chosen) -> Result:
    """Carry the command out, and write this machine's audit trail however it ends."""

    async def deploying() -> Result:
        async with _fleet(command, wanted) as fleet:
            return await deploy(fleet, command.job(wanted))

    environment = command.environment
    hosts = tuple(host.name for host in environment.hosts)
    command.emit(CommandBegan(command.verb, environment.app, environment.name, hosts))
    began = time.time()
    try:
        with command.files, wiring.library().in_use():
            result = context.run(deploying(), command.begun)
    except MikoshiError as error:
        _remember(command, began, "failed", (brief(error),))
        raise
    finally:
        command.printer.close()
    _remember(command, began, result.outcome, (), result)
    wiring.library().prune(environment.app, protect=[result.release])
    return result


def _remember(
    command: Command, began: float, outcome: str, causes: tuple[str, ...], result: Result | None = None
) -> None:
    """One entry of the local trail; a command that found nothing to do, or never began an attempt, leaves none."""
    seq = command.begun[-1] if command.begun else 0
    if not seq:
        return
    made = result.plan if result else None
    release = command.available.content.release if command.available else ""
    file = history.local_file(wiring.state_directory(), command.environment.app, command.environment.name)
    now = time.time()
    entry = {
        "seq": seq, "release": release, "from": made.stable if made else 0, "to": seq if outcome == "done" else 0,
        "verb": command.verb, "by": context.who(), "message": getattr(command.arguments, "message", ""),
        "at": began, "ended": now, "seconds": round(now - began, 3), "result": outcome, "causes": list(causes),
    }  # fmt: skip
    try:
        history.append(file, entry)
    except OSError as error:
        command.emit(Note(f"the local history could not be written: {error}"))
