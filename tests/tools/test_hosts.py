"""`make hosts` gives a person servers to log in to, until Ctrl-C."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys

import pytest

from mikoshi.testing.hosts import missing_requirements


def test_the_printed_login_works_until_the_tool_is_interrupted() -> None:
    if missing_requirements():
        pytest.skip("; ".join(missing_requirements()))
    command = [sys.executable, "-m", "tools.hosts", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as tool:
        assert tool.stdout is not None
        printed: list[str] = []
        while "Ctrl-C" not in (line := tool.stdout.readline()):
            assert line, printed
            printed.append(line.strip())
        login = shlex.split(next(line for line in printed if line.startswith("ssh -F")))
        done = subprocess.run([*login, "hostname"], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.strip() in next(line for line in printed if line.startswith("hosts = "))
        tool.send_signal(signal.SIGINT)
        assert tool.wait(timeout=20) == 0
    assert subprocess.run([*login, "hostname"], capture_output=True, check=False, timeout=60).returncode == 255
