"""The test hosts are servers of their own, fail as asked, and leave nothing behind."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.host_fixtures import StartHost
from tests.testing.ssh_client import over_ssh

from mikoshi.testing.hosts import HostError, HostFleet
from mikoshi.testing.hosts.deadline import wait_until
from mikoshi.testing.hosts.processes import namespace_of, processes_in

NO_SPACE = os.strerror(errno.ENOSPC).encode()


@pytest.mark.parametrize(
    ("kind", "user", "root_by_sudo"),
    [("root", "root", True), ("sudo", "deploy", True), ("plain", "deploy", False)],
)
def test_the_key_logs_in_as_the_user_of_the_kind_and_sudo_works_where_it_shall(
    start_host: StartHost, kind: str, user: str, root_by_sudo: bool
) -> None:
    host = start_host(kind)
    assert over_ssh(host, "id -un").stdout == f"{user}\n"
    sudo = over_ssh(host, "sudo -n id -un")
    assert (sudo.returncode == 0, sudo.stdout) == (root_by_sudo, "root\n" if root_by_sudo else "")
    assert sudo.stderr == ("" if root_by_sudo else "sudo: a password is required\n")


def test_a_login_finds_the_systems_python_and_an_empty_home(start_host: StartHost) -> None:
    host = start_host("root")
    assert over_ssh(host, "command -v python3; ls -A; id -u shop").stdout == "/usr/bin/python3\n.ssh\n1001\n"


def test_hidden_programs_are_not_there(start_host: StartHost) -> None:
    host = start_host("plain", without=("/usr/bin/sudo",))
    assert over_ssh(host, "sudo -n true").returncode == 127


def test_each_host_is_a_machine_of_its_own(start_host: StartHost) -> None:
    hosts = [start_host(), start_host()]
    for fact in (
        "hostname",
        "cat /etc/machine-id",
        "cat /proc/sys/kernel/random/boot_id",
        "readlink /proc/self/ns/pid",
    ):
        here = subprocess.run(fact.split(), capture_output=True, text=True, check=True).stdout
        assert len({here, *(over_ssh(host, fact).stdout for host in hosts)}) == 3, fact
    assert over_ssh(hosts[0], "hostname").stdout == f"{hosts[0].name}\n"


def test_a_host_sees_only_its_own_processes(start_host: StartHost) -> None:
    host = start_host()
    listed = host.run(["python3", "-c", "import os; print(sum(name.isdigit() for name in os.listdir('/proc')))"])
    assert int(listed.stdout) == 2  # sshd and the one that asks


def test_what_a_host_writes_no_other_and_not_this_machine_has(start_host: StartHost) -> None:
    writer, other = start_host(), start_host()
    writer.run(["sh", "-c", "echo mine >/usr/local/of-one-host; echo mine >/srv/of-one-host"])
    assert (writer.root / "srv/of-one-host").read_text() == "mine\n"
    for place in ("usr/local/of-one-host", "srv/of-one-host"):
        assert not (other.root / place).exists()
        assert not (Path("/") / place).exists()


def test_run_as_a_user_is_that_user(start_host: StartHost) -> None:
    host = start_host()
    assert host.run(["sh", "-c", "id -un; echo $HOME; cat"], user="shop", stdin=b"in").stdout == b"shop\n/home/shop\nin"


def test_a_power_cut_ends_every_process_and_keeps_the_disk(start_host: StartHost) -> None:
    host = start_host()
    host.run(["sh", "-c", "echo kept >/srv/file; echo lost >/run/file; setsid sleep 1000 >/dev/null 2>&1 &"])
    namespace = namespace_of(host.pid)
    assert namespace is not None
    boot_id = host.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout
    host.kill()
    assert not host.running
    assert list(processes_in(namespace)) == []
    assert "Connection refused" in over_ssh(host, "true").stderr
    with pytest.raises(HostError, match="is off"):
        host.run(["true"])
    host.start()
    assert over_ssh(host, "cat /srv/file").stdout == "kept\n"
    assert not (host.root / "run/file").exists()
    assert host.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout != boot_id


def test_clocks_since_boot_start_again_with_a_boot(start_host: StartHost) -> None:
    host = start_host()
    host.restart()
    read = "import time; print(max(time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)))"
    machine = float(Path("/proc/uptime").read_text().split()[0])
    assert float(host.run(["/usr/bin/python3", "-c", read]).stdout) < machine / 2


def test_a_small_disk_is_full_when_its_size_is_used(start_host: StartHost) -> None:
    host = start_host(size="4m")
    fill = host.run(["dd", "if=/dev/zero", "of=/srv/big", "bs=64k", "count=100"], check=False)
    assert fill.returncode == 1
    assert NO_SPACE in fill.stderr
    assert 3_000_000 < (host.root / "srv/big").stat().st_size <= 4 << 20
    assert over_ssh(host, "true").returncode == 0


def test_a_disk_with_few_inodes_refuses_new_files_but_not_data(start_host: StartHost) -> None:
    host = start_host(inodes=120)
    create = host.run(["sh", "-c", "for n in $(seq 120); do : >/srv/$n || exit 1; done"], check=False)
    assert create.returncode != 0
    assert NO_SPACE in create.stderr
    host.run(["sh", "-c", "head -c 1000000 /dev/zero >/srv/1"])


def test_a_disk_can_be_filled_up_and_given_back_while_the_host_runs(start_host: StartHost) -> None:
    host = start_host()
    host.disk.leave_free(size=1 << 20, inodes=3)
    free = os.statvfs(host.root / "srv")
    assert (free.f_bavail * free.f_frsize, free.f_favail) == (1 << 20, 3)
    host.run(["touch", "/srv/1", "/srv/2"])
    assert NO_SPACE in host.run(["mkdir", "/srv/3", "/srv/4"], check=False).stderr
    assert NO_SPACE in host.run(["dd", "if=/dev/zero", "of=/srv/1", "bs=1M", "count=2"], check=False).stderr
    host.disk.restore()
    host.run(["dd", "if=/dev/zero", "of=/srv/4", "bs=1M", "count=2"])


def test_a_disk_on_this_machines_file_system_outlives_a_boot_and_not_the_host(fleet: HostFleet) -> None:
    host = fleet.start(size=None)
    try:
        host.run(["touch", "/srv/file"])
        host.restart()
        assert (host.root / "srv/file").exists()
        with pytest.raises(ValueError, match="size"):
            host.disk.leave_free(size=0)
    finally:
        fleet.remove(host)
    assert not host.disk.directory.exists()


def test_a_paused_host_hangs_and_goes_on_when_resumed(start_host: StartHost) -> None:
    host = start_host()
    with subprocess.Popen(host.ssh("cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(b"before\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"before\n"
        host.pause()
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(host.ssh("true"), capture_output=True, timeout=1, check=False)
        session.stdin.write(b"during\n")
        session.stdin.flush()
        host.resume()
        assert session.stdout.readline() == b"during\n"
        session.stdin.close()
    assert over_ssh(host, "true").returncode == 0


def test_a_command_that_run_started_goes_on_after_a_pause(start_host: StartHost) -> None:
    host = start_host()
    host.run(["mkfifo", "/srv/fifo"])
    namespace = namespace_of(host.pid)
    assert namespace is not None
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(host.run, ["cat", "/srv/fifo"])
        assert wait_until(lambda: "cat" in names_of(processes_in(namespace)), 20)
        host.pause()
        host.resume()
        host.run(["sh", "-c", "echo on >/srv/fifo"])
        assert reader.result(timeout=20).stdout == b"on\n"


def names_of(pids: Iterable[int]) -> set[str]:
    """The commands' names of processes that live."""
    return {Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids}


def test_a_rotated_host_key_is_refused_until_it_is_pinned(start_host: StartHost, tmp_path: Path) -> None:
    host = start_host()
    before = host.host_key
    host.rotate_host_key()
    assert host.host_key != before
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in over_ssh(host, "true").stderr
    pins = tmp_path / "known_hosts"
    pins.write_text(f"[{host.address}]:{host.port} {host.host_key}\n")
    assert over_ssh(host, "true", options=("-o", f"UserKnownHostsFile={pins}")).returncode == 0
