"""The command line as a whole: choosing an environment, exit codes, and that no traceback reaches a screen."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.workbench import Workbench

from mikoshi.cli import main as cli


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    made = Workbench(tmp_path, nodes=("local/a",))
    made.configure()
    made.write({"index.html": "one"})
    return made


def test_version_needs_no_configuration_and_no_heavy_imports() -> None:
    code = (
        "import sys; from mikoshi.cli.main import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "heavy = {'asyncio', 'asyncssh', 'h11', 'ssl', 'rich', 'tomllib'}\n"
        "heavy |= {'mikoshi.engine', 'mikoshi.packing', 'mikoshi.config'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_wrong_verb_is_corrected(bench: Workbench) -> None:
    ran = bench.run("delpoy", code=2)
    assert "Did you mean `deploy`?" in ran.err


def test_without_mikoshi_toml_the_next_step_is_named(tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    assert "mikoshi init" in bench.run("deploy", code=2).err


def test_all_problems_of_the_configuration_are_said_at_once(bench: Workbench) -> None:
    bench.configure('keep = "many"\nrun_ass = "shop"\n')
    err = bench.run("check", code=2).err
    assert "keep" in err
    assert "run_as" in err
    assert err.count("mikoshi.toml:") >= 2


def test_with_several_environments_one_has_to_be_named(bench: Workbench) -> None:
    bench.configure('[env.staging]\nstyle = "push"\nhosts = ["local/s"]\n')
    ran = bench.run("plan", code=2)
    assert "production, staging" in ran.err
    assert "mikoshi plan ENV" in ran.err
    bench.env["MIKOSHI_ENV"] = "production"
    assert "local/a" in bench.run("plan").out


def test_plan_tells_by_exit_code_whether_there_is_something_to_do(bench: Workbench) -> None:
    bench.run("plan", "--exit-code", code=8)
    bench.run("deploy")
    bench.run("plan", "--exit-code", code=0)


def test_a_dry_run_is_the_plan_and_changes_nothing(bench: Workbench) -> None:
    planned = bench.run("plan").out
    assert "create deployment 1" in planned
    dry = bench.run("deploy", "--dry-run").out
    assert "create deployment 1" in dry
    assert not bench.place("local/a").exists()


def test_vars_alone_make_a_new_deployment_without_sending_anything_again(bench: Workbench) -> None:
    bench.run("deploy")
    bench.configure('vars = { COLOUR = "red" }')
    ran = bench.run("deploy", "--json")
    assert bench.current("local/a") == 2
    assert ran.event("stage_ended")["received"] == 0
    assert "COLOUR" in (bench.place("local/a") / "deployments" / "2" / "env").read_text()


def test_history_and_releases_say_who_and_why(bench: Workbench) -> None:
    bench.env["MIKOSHI_BY"] = "hanako"
    bench.run("deploy", "-m", "first try")
    for verb in (("history",), ("history", "--local"), ("releases",)):
        out = bench.run(*verb).out
        assert "hanako" in out
        assert "first try" in out


def test_rollback_without_anything_before_says_so(bench: Workbench) -> None:
    bench.run("deploy")
    assert "no earlier good deployment" in bench.run("rollback", code=2).err


def test_a_kept_release_can_be_deployed_again_by_a_piece_of_its_id(bench: Workbench) -> None:
    first = bench.run("deploy", "--json").event("command_ended")["release"]
    bench.write({"index.html": "two"})
    bench.run("deploy")
    bench.run("deploy", "--release", first[:8])
    assert bench.content("local/a", "index.html") == "one"
    assert bench.run("deploy", "--release", "ffff", code=2).err


def test_help_has_every_verb_once_under_a_heading(bench: Workbench) -> None:
    lines = bench.run("--help").out.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("  -")]
    assert sorted(name for name in listed if name != "VERB") == sorted(
        module.__name__.rpartition(".")[2] for module in cli.VERBS
    )
    assert [line for line in lines if line in ("Start:", "Ship:", "Look:", "Work:", "More:")] == [
        f"{heading}:" for heading in cli.GROUPS
    ]
    assert max(map(len, lines)) <= 100


def test_completion_covers_every_verb(bench: Workbench) -> None:
    script = bench.run("completion", "bash").out
    for verb in cli.VERBS:
        assert verb.__name__.rpartition(".")[2] in script


def test_an_error_nobody_foresaw_leaves_a_report_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> int:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("mikoshi.cli.releases.run", broken)
    assert cli.main(["releases"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    report = next((tmp_path / "mikoshi").glob("crash-*.txt"))
    assert str(report) in err
    assert "ZeroDivisionError" in report.read_text()


def test_output_that_nobody_reads_to_the_end_is_no_error(bench: Workbench) -> None:
    command = [sys.executable, "-m", "mikoshi", "config", "docs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=bench.environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        err = process.stderr.read()
    assert err == b""
