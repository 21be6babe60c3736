"""A session keeps to its frames, its lease keeps others out, and a holder that is dead or late changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mikoshi.core import messages
from mikoshi.core.errors import Fenced, LeaseHeld, PathUnusable, ProtocolMismatch, from_wire
from mikoshi.core.frames import Frame, blob_frame, message_of
from mikoshi.core.lease import EngineProcess, Instant
from mikoshi.node import machine
from mikoshi.node.files import Files
from mikoshi.node.lease import Leases
from tests.node.client import SOURCE, Engine, EngineGone, Refusal, build
from tests.node.conftest import Start, poll


def refusal(engine: Engine, request: messages.Request) -> Refusal:
    with pytest.raises(Refusal) as caught:
        engine.call(request)
    return caught.value


# ── frames ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_hello_reads_and_writes_nothing(start: Start, tmp_path: Path) -> None:
    engine = start()
    view = engine.hello(tmp_path / "not" / "there")
    assert (view.current, view.kept, view.lease, view.highest_seq) == (0, (), None, 0)
    assert view.free_bytes > 0
    assert view.path == str(tmp_path / "not/there/shop/production")
    assert view.platform == machine.platform()
    assert list(tmp_path.iterdir()) == []


def test_two_names_of_one_directory_have_one_identity(start: Start, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    views = [start().hello(tmp_path / name) for name in ("real", "alias", "other")]
    assert views[0].identity == views[1].identity != views[2].identity


@pytest.mark.parametrize(("app", "env"), [("..", "x"), ("a/b", "x"), ("a", ""), (".git", "x"), ("a", "x\0")])
def test_names_that_lead_elsewhere_are_refused(start: Start, tmp_path: Path, app: str, env: str) -> None:
    error = refusal(start(), messages.Hello(app, env, str(tmp_path))).error
    assert isinstance(error, PathUnusable)


def test_a_relative_path_is_refused(start: Start) -> None:
    assert isinstance(refusal(start(), messages.Hello("a", "b", "somewhere")).error, PathUnusable)


def test_a_path_that_cannot_be_made_is_named(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    engine = start()
    engine.hello(tmp_path / "file")
    error = refusal(engine, messages.Acquire("ann", "", 5.0)).error
    assert isinstance(error, PathUnusable)
    assert error.reason == "Not a directory"


def test_another_protocol_is_refused(start: Start, tmp_path: Path) -> None:
    error = refusal(start(), messages.Hello("a", "b", str(tmp_path), protocol=999)).error
    assert isinstance(error, ProtocolMismatch)


@pytest.mark.parametrize("request_", [messages.Acquire("a", "", 1.0), messages.Renew(), messages.History()])
def test_hello_comes_first(start: Start, request_: messages.Request) -> None:
    assert isinstance(refusal(start(), request_).error, ProtocolMismatch)


@pytest.mark.parametrize("request_", [messages.Activate(1, 0), messages.Revert(0), messages.SettingsKey()])
def test_changes_need_the_lease(start: Start, tmp_path: Path, request_: messages.Request) -> None:
    engine = start()
    engine.hello(tmp_path)
    assert isinstance(refusal(engine, request_).error, Fenced)


@pytest.mark.parametrize("noise", [b"Welcome to the machine!\n", blob_frame(b"x").encode(), b"J\0\0\0\x02[]"])
def test_noise_ends_the_session_with_a_word(start: Start, noise: bytes) -> None:
    engine = start()
    assert engine.process.stdin is not None
    engine.process.stdin.write(noise)
    engine.process.stdin.flush()
    message = message_of(engine.read())
    assert isinstance(from_wire(message["error"]), ProtocolMismatch)
    with pytest.raises(EngineGone):
        engine.read()
    assert engine.process.wait(20) == 1


def test_an_unknown_request_is_refused_and_the_session_goes_on(start: Start, tmp_path: Path) -> None:
    engine = start()
    engine.write([Frame(b"J", b'{"do": "Dance", "id": 0}')])
    assert isinstance(from_wire(message_of(engine.read())["error"]), ProtocolMismatch)
    engine.hello(tmp_path)


@pytest.mark.parametrize(
    "nonsense",
    [
        b'{"do": "UpdateRecord", "id": 1, "seq": "x", "outcome": "done", "causes": null}',
        b'{"do": "Stage", "id": 1, "deployment": [], "settings": 7, "base": null}',
        b'{"do": "Activate", "id": 1, "seq": {}, "previous": "../.."}',
        b'{"do": "Hello", "id": 1, "app": 7, "env": null}',
    ],
)
def test_nonsense_in_a_request_is_refused_and_the_session_goes_on(
    engine: Engine, tmp_path: Path, nonsense: bytes
) -> None:
    engine.write([Frame(b"J", nonsense)])
    assert "error" in message_of(engine.read())
    assert engine.hello(tmp_path).current == 0


@pytest.mark.parametrize("name", ["lease", "fleet/1.json"])
@pytest.mark.parametrize("damaged", [b"", b"{", b"[]"])
def test_a_damaged_file_is_named_and_ends_no_engine(
    engine: Engine, start: Start, tmp_path: Path, site: Path, name: str, damaged: bytes
) -> None:
    (site / name).parent.mkdir(exist_ok=True)
    (site / name).write_bytes(damaged)
    other = start()
    with pytest.raises(Refusal) as caught:
        other.hello(tmp_path)
    assert caught.value.error.facts()["path"] == str(site / name)
    (site / name).unlink()
    assert other.hello(tmp_path).current == 0


def test_stray_prints_do_not_reach_the_frames(tmp_path: Path) -> None:
    code = (
        "import os, sys\nfrom mikoshi.node import main\nfrom mikoshi.node.server import Server\n"
        "serve = Server.serve\n"
        "def noisy(self):\n    print('stray', flush=True); os.write(1, b'stray'); return serve(self)\n"
        "Server.serve = noisy\nmain.main()\n"
    )
    with Engine((sys.executable, "-X", "utf8", "-c", code)) as engine:
        engine.hello(tmp_path)
        assert engine.process.stdin is not None
        engine.process.stdin.close()
        assert "stray" in engine.last_words()


def test_a_deployer_that_stops_reading_and_leaves_is_no_crash(start: Start, tmp_path: Path, site: Path) -> None:
    engine = start()
    engine.begin(tmp_path)
    assert engine.process.stdout is not None
    engine.process.stdout.close()
    engine.ask(messages.History())
    assert engine.process.wait(20) == 0
    assert engine.last_words() == ""


def test_the_interrupt_key_is_left_to_the_deployer(engine: Engine) -> None:
    engine.process.send_signal(signal.SIGINT)
    assert engine.call(messages.History()) == {"entries": []}


def test_the_engine_is_one_small_zip_that_runs(tmp_path: Path) -> None:
    import zipfile

    archive = tmp_path / "engine.pyz"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(SOURCE / "mikoshi/__init__.py", "mikoshi/__init__.py")
        for room in ("core", "node"):
            for path in (SOURCE / "mikoshi" / room).rglob("*.py"):
                file.write(path, path.relative_to(SOURCE))
        file.writestr("__main__.py", "from mikoshi.node.main import main\nmain()\n")
    assert archive.stat().st_size < 200_000
    with Engine((sys.executable, "-I", "-S", "-X", "utf8", str(archive)), {"PYTHONPATH": ""}) as engine:
        engine.begin(tmp_path / "there")
        engine.deploy(1, build({"a": b"x"}))


def test_starting_reads_few_modules() -> None:
    code = "import sys, mikoshi.node.main; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r}); {code}"],
        capture_output=True, text=True, check=True, timeout=20,
    )  # fmt: skip
    heavy = {"asyncio", "http.client", "ssl", "ctypes", "shutil", "email", "logging", "urllib.request", "tempfile"}
    assert heavy.isdisjoint(done.stdout.split())


# ── the lease ──────────────────────────────────────────────────────────────────────────────────────────────────


def lease_of(view: messages.NodeView) -> messages.LeaseView:
    assert view.lease is not None
    return view.lease


def test_a_living_holder_keeps_others_out(start: Start, tmp_path: Path) -> None:
    first, second = start(), start()
    first.hello(tmp_path)
    first.acquire("ann")
    view = second.hello(tmp_path)
    assert view.lease is not None
    assert (view.lease.holder, view.lease.message, view.lease.alive) == ("ann", "a test", True)
    error = refusal(second, messages.Acquire("bob", "", 5.0)).error
    assert isinstance(error, LeaseHeld)
    assert (error.holder, error.message) == ("ann", "a test")
    assert 0 < error.expires_in <= 60


def test_the_end_of_a_session_gives_the_lease_back(start: Start, tmp_path: Path) -> None:
    first = start()
    first.begin(tmp_path)
    assert first.close() == 0
    view = (second := start()).hello(tmp_path)
    assert view.lease is None
    assert second.acquire().lease is not None


def test_a_killed_engine_binds_nobody(start: Start, tmp_path: Path) -> None:
    first = start()
    first.begin(tmp_path)
    first.process.kill()
    first.process.wait(20)
    second = start()
    view = second.hello(tmp_path)
    assert view.lease is not None
    assert not view.lease.alive
    lease = second.acquire().lease
    assert lease is not None
    assert lease.token == 2


def test_tokens_go_on_after_a_release(start: Start, tmp_path: Path) -> None:
    engine = start()
    engine.hello(tmp_path)
    tokens = []
    for _ in range(3):
        tokens.append(engine.call(messages.Acquire("ann", "", 5.0))["token"])
        engine.call(messages.Release())
    assert tokens == [1, 2, 3]


def test_asking_again_for_the_own_lease_keeps_the_token(engine: Engine) -> None:
    assert engine.call(messages.Acquire("tester", "", 5.0))["token"] == 1


def test_a_paused_holder_is_ended_when_its_lease_is_taken_over(start: Start, tmp_path: Path) -> None:
    first, second = start(), start()
    first.hello(tmp_path)
    first.acquire(ttl=0.2)
    first.process.send_signal(signal.SIGSTOP)
    second.hello(tmp_path)
    poll(lambda: not lease_of(second.hello(tmp_path)).alive)
    assert lease_of(second.acquire()).token == 2
    assert first.process.wait(20) == -signal.SIGKILL


def test_an_overtaken_holder_is_fenced(engine: Engine, site: Path) -> None:
    engine.stage_fully(1, build({"a": b"x"}))
    lease = site / "lease"
    lease.write_text(lease.read_text().replace('"token": 1', '"token": 9'))
    for request in (messages.Activate(1, 0), messages.Renew(), messages.Settle(1, "done", 1, 5, ())):
        error = refusal(engine, request).error
        assert isinstance(error, Fenced)
        assert (error.token, error.current) == (1, 9)
    assert not (site / "current").is_symlink()


def test_a_renewed_lease_lasts(engine: Engine, start: Start, tmp_path: Path) -> None:
    engine.call(messages.Acquire("tester", "", 60.0))
    assert engine.call(messages.Renew()) == {}
    view = start().hello(tmp_path)
    assert view.lease is not None
    assert view.lease.expires_in > 59


class Clock:
    """A boot clock that a test moves."""

    def __init__(self) -> None:
        self.clock, self.boot = 1000.0, "boot-1"

    def __call__(self) -> Instant:
        return Instant(self.clock, self.boot)


def foreign_lease(path: Path, clock: Clock, engine: EngineProcess) -> Leases:
    """A lease held by an engine of which nothing can be known."""
    from dataclasses import replace

    from mikoshi.core.lease import lease_to_bytes

    holder = Leases(str(path), Files(), clock)
    holder.acquire("ann", "", 30.0)
    path.write_bytes(lease_to_bytes(replace(holder.read(), engine=engine)))
    return holder


def test_where_nothing_is_known_of_the_engine_only_time_frees_the_lease(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "lease"
    holder = foreign_lease(path, clock, EngineProcess(1, 5, "pid:[another]"))
    other = Leases(str(path), Files(), clock)
    with pytest.raises(LeaseHeld):
        other.acquire("bob", "", 30.0)
    clock.clock += 30
    assert other.acquire("bob", "", 30.0) == 2
    with pytest.raises(Fenced):
        holder.check()
    holder.release()
    other.check()


def test_another_boot_frees_the_lease(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "lease"
    foreign_lease(path, clock, EngineProcess(1, 5, "pid:[another]"))
    clock.clock, clock.boot = 1.0, "boot-2"
    assert Leases(str(path), Files(), clock).acquire("bob", "", 30.0) == 2


def test_the_wall_clock_has_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = Leases(str(tmp_path / "lease"), Files())
    holder.acquire("ann", "", 30.0)
    for jump in (0.0, 4e9):
        monkeypatch.setattr(time, "time", lambda jump=jump: jump)
        holder.renew()
        view = holder.view()
        assert view is not None
        assert 29 < view.expires_in <= 30


def test_a_pid_that_was_given_to_another_process_is_not_killed(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        try:
            born = machine.this_process()
            assert machine.is_gone(EngineProcess(process.pid, 1, born.namespace))
            assert machine.end(EngineProcess(process.pid, 1, born.namespace))
            assert process.poll() is None
        finally:
            process.kill()


def test_many_at_once_get_one_lease(tmp_path: Path, start: Start) -> None:
    engines = [start() for _ in range(5)]
    for engine in engines:
        engine.hello(tmp_path)
    numbers = [engine.ask(messages.Acquire(f"e{number}", "", 60.0)) for number, engine in enumerate(engines)]
    outcomes = []
    for engine, number in zip(engines, numbers, strict=True):
        try:
            outcomes.append(str(engine.answer(number)[0]["token"]))
        except Refusal as refused:
            outcomes.append(type(refused.error).__name__)
    assert sorted(outcomes) == ["1", *["LeaseHeld"] * 4]
    assert os.path.exists(tmp_path / "shop/production/lease")
