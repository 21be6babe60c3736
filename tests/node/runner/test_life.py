"""Life on a machine: restart, stop, output, limits, users, newer sources, many processes of one kind."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from mikoshi.core import messages
from mikoshi.core.deployment import Settings
from mikoshi.core.errors import ProcessEnded
from mikoshi.core.frames import message_of
from mikoshi.node.files import Files
from mikoshi.node.runner import cgroups, launch
from mikoshi.node.runner.client import Runner
from mikoshi.node.runner.logs import Lines, RotatedFile
from tests.node.client import Engine, Refusal
from tests.node.runner.ground import Site, application, failures, load, until

MEMORY = "import time; block = bytearray(200 << 20); time.sleep(60)"


def jobs(command: str, **more: object) -> Settings:
    return Settings(processes={"jobs": {"command": command, **more}})


# Restart and stop


def test_a_restart_brings_new_processes_without_a_failed_request(site: Site) -> None:
    site.deploy(settings=site.settings(instances=2))
    before = {row["pid"] for row in site.processes()}
    with load(site) as counts, Engine() as engine:
        engine.begin(site.base)
        engine.call(messages.Restart())
    after = {row["pid"] for row in site.processes()}
    assert failures(counts) == {}
    assert len(after) == 2
    assert not before & after


def test_a_restart_that_fails_leaves_the_old_processes(site: Site) -> None:
    flag = site.base / "broken"
    site.deploy(settings=site.settings(command=f"test ! -e {flag} && exec python3 -S serve.py"))
    before = {row["pid"] for row in site.processes()}
    flag.touch()
    with load(site) as counts, Engine() as engine:
        engine.begin(site.base)
        with pytest.raises(Refusal) as caught:
            engine.call(messages.Restart())
    assert isinstance(caught.value.error, ProcessEnded)
    assert failures(counts) == {}
    assert {row["pid"] for row in site.processes()} == before


def test_stopped_stays_stopped_until_a_restart(site: Site) -> None:
    site.deploy()
    with Engine() as engine:
        engine.begin(site.base)
        assert engine.call(messages.Stop()) == {"ended": 1}
        assert engine.call(messages.Stop()) == {"ended": 0}
    with pytest.raises(ConnectionRefusedError):
        site.get()
    killed = site.ask("hello")["pid"]
    os.kill(killed, signal.SIGKILL)
    until(lambda: site.ask("hello")["pid"] != killed)
    assert site.ask("status")["processes"] == []
    with Engine() as engine:
        engine.begin(site.base)
        engine.call(messages.Restart())
        (view,) = engine.hello(site.base).processes
    assert (site.serving(), view.state, view.wanted, view.name) == (1, "running", True, "web.1")
    assert view.memory > 1 << 20


# Output


def test_output_is_shown_from_the_end_with_secrets_hidden(site: Site) -> None:
    settings = Settings(processes={"jobs": {"command": "for n in 1 2 3 4; do echo $n $WORD; done; exec sleep 1000"}},
                        secrets={"WORD": "mac"})  # fmt: skip
    with Engine() as engine:
        engine.begin(site.base)
        engine.deploy(1, application(), 0, settings, {"WORD": "hush-hush"})
        engine.events.clear()
        engine.call(messages.Logs("jobs", 2))
    lines = [event["line"].split(" ", 1)[1] for event in engine.events]
    assert lines == ["jobs.1@1 3 [WORD]", "jobs.1@1 4 [WORD]"]


def test_following_sees_what_comes_and_ends_with_the_session(site: Site) -> None:
    site.deploy(settings=jobs("while :; do echo $((n += 1)); sleep 0.05; done"))
    with Engine() as engine:
        engine.begin(site.base)
        engine.ask(messages.Logs("", 0, follow=True))
        seen: list[int] = []
        while len(seen) < 5:
            event = engine_event(engine)
            seen.append(int(event["line"].rsplit(" ", 1)[1]))
    assert seen == list(range(seen[0], seen[0] + 5))


def engine_event(engine: Engine) -> dict[str, str]:
    while True:
        message = message_of(engine.read())
        if message.get("event", {}).get("kind") == "Output":
            return dict(message["event"])


def test_half_a_gigabyte_of_output_neither_fills_the_disk_nor_stops_anything(site: Site) -> None:
    size = 500 << 20
    flood = (
        f"import sys; line = b'x' * 127 + b'\\n'; [sys.stdout.buffer.write(line * 512) for _ in range({size >> 16})]"
    )
    site.deploy(settings=Settings(processes={
        **site.settings().processes, "jobs": {"command": f"python3 -S -c \"{flood}\"; echo the end; exec sleep 1000"},
    }))  # fmt: skip
    with load(site, threads=1) as counts:
        until(lambda: "the end" in site.log("jobs")[-200:])
    assert failures(counts) == {}
    kept = [path.stat().st_size for path in (site.root / "log").glob("jobs.log*")]
    assert len(kept) == 5
    assert sum(kept) < 90 << 20
    assert [row["ends"] for row in site.processes()] == [0, 0]


def test_a_log_that_cannot_be_written_says_how_much_was_lost(tmp_path: Path) -> None:
    place = tmp_path / "log"
    file = RotatedFile(str(place / "web.log"))
    lines = Lines("web.1@7", file)
    lines.add(b"gone\n")
    place.mkdir()
    lines.add(b"kept\nhalf")
    lines.end()
    file.close()
    first, second, third = (place / "web.log").read_text().splitlines()
    assert "bytes were lost here" in first
    assert (second.split(" ", 1)[1], third.split(" ", 1)[1]) == ("web.1@7 kept", "web.1@7 half")


def test_files_are_rotated_and_the_oldest_one_goes(tmp_path: Path) -> None:
    file = RotatedFile(str(tmp_path / "log"), size=1000, kept=2)
    for number in range(100):
        file.write(b"%03d" % number + b"x" * 96 + b"\n")
    file.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    text = b"".join((tmp_path / name).read_bytes() for name in ("log.2", "log.1", "log")).decode()
    numbers = [int(line[:3]) for line in text.splitlines()]
    assert numbers == list(range(numbers[0], 100))


# Limits and users


@pytest.mark.root
def test_one_that_takes_more_memory_than_it_may_is_killed_and_started_again(site: Site) -> None:
    limits = {"memory": 64 << 20, "files": 99}
    assert cgroups.unable(limits) == []
    site.deploy(settings=jobs("ulimit -n; exec sleep 1000", limits=limits))
    (row,) = site.processes()
    groups = cgroups.prepare(str(site.root), f"jobs.1-{row['generation']}", limits)
    assert str(row["pid"]) in Path(groups[0]).read_text().split()
    assert site.log("jobs").splitlines()[-1].endswith(" 99")
    site.deploy(settings=jobs(f"echo begins; sleep 1.2; exec {sys.executable} -c '{MEMORY}'", limits=limits))
    until(lambda: [one["ends"] for one in site.ask("status")["processes"]] == [1])
    (row,) = site.ask("status")["processes"]
    assert row["last_status"] == -signal.SIGKILL
    with Engine() as engine:
        engine.begin(site.base)
        engine.call(messages.Stop())
    assert not list(Path(groups[0]).parent.parent.glob(f"mikoshi{str(site.root).replace('/', '.')}.*"))


def test_groups_of_version_2_are_made_below_the_delegated_one(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "cgroup.subtree_control").write_text("cpu memory")
    joins = cgroups.prepare("/srv/shop/production", "web.1-3", {"memory": 1 << 30, "cpu": 0.5}, str(tmp_path))
    (group,) = tmp_path.glob("mikoshi*")
    assert joins == [str(group / "cgroup.procs")]
    assert (group / "memory.max").read_text() == str(1 << 30)
    assert (group / "cpu.max").read_text() == "50000 100000"


@pytest.mark.root
def test_processes_run_as_the_app_s_user(site: Site) -> None:
    site.base.chmod(0o755)
    for parent in site.base.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    with Engine() as engine:
        engine.hello(site.base, "nobody")
        engine.acquire()
        settings = Settings(processes={"jobs": {"command": "id -un; id -G; exec sleep 1000"}}, run_as="nobody")
        engine.deploy(1, application(), 0, settings)
    (row,) = site.processes()
    assert Path(f"/proc/{row['pid']}").stat().st_uid == 65534
    assert [line.split(" ", 2)[2] for line in site.log("jobs").splitlines()] == ["nobody", "65534"]


# Newer sources


def test_another_engine_s_runner_takes_over_with_everything_as_it_was(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.deploy(settings=site.settings(instances=2))
    before, hello = {row["pid"] for row in site.processes()}, site.ask("hello")
    sources = launch.sources()
    monkeypatch.setattr(launch, "sources", lambda: {**sources, "mikoshi/node/newer.py": b"# newer\n"})
    with load(site) as counts:
        runner = Runner(str(site.root), Files())
        runner.ensure()
        runner.close()
    after = site.ask("hello")
    assert failures(counts) == {}
    assert (after["holder"], after["pid"] != hello["pid"], after["code"] != hello["code"]) == (
        hello["holder"],
        True,
        True,
    )
    assert {row["pid"] for row in site.processes()} == before


def test_an_idle_runner_is_small_and_still(site: Site) -> None:
    site.deploy()
    hello = site.ask("hello")
    pids = (hello["pid"], hello["holder"])
    used = sum(_kilobytes(pid) for pid in pids)
    assert used < 25_000, used
    until(lambda: _is_still(pids))


def _is_still(pids: tuple[int, ...]) -> bool:
    """Whether none of them woke for half a second; that can only be waited for."""
    before, end = [_switches(pid) for pid in pids], time.monotonic() + 0.5
    until(lambda: time.monotonic() > end)
    return [_switches(pid) for pid in pids] == before


def _kilobytes(pid: int) -> int:
    """Proportional set size."""
    (line,) = [line for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:")]
    return int(line.split()[1])


def _switches(pid: int) -> int:
    """How often a process has waited."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("voluntary_ctxt")).split()[1])
