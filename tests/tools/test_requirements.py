"""A test that cannot run says so, and in continuous integration it fails."""

import pytest
from tools.findings import ROOT

PLUGIN = ("-p", "tests.requirements", "-p", "no:xdist", "-p", "no:cacheprovider")
LACKING = """
import pytest, tests.requirements as r
r.REQUIREMENTS["moon"] = r.Requirement(lambda: False, "wait for it")
r.REQUIREMENTS["air"] = r.Requirement(lambda: True, "open a window")
"""


@pytest.fixture(autouse=True)
def outside_ci(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest(LACKING)


def test_a_missing_requirement_skips_with_its_remedy_and_is_listed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.needs('moon', 'air')\ndef test_it(): assert False")
    run = pytester.runpytest_inprocess(*PLUGIN)
    run.assert_outcomes(skipped=1)
    run.stdout.fnmatch_lines(["*not run on this machine*", "*1 needs moon: wait for it"])


def test_a_missing_requirement_fails_in_continuous_integration(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile("import pytest\n@pytest.mark.needs('moon')\ndef test_it(): pass")
    run = pytester.runpytest_inprocess(*PLUGIN)
    assert run.ret == pytest.ExitCode.TESTS_FAILED
    run.stdout.fnmatch_lines(["*not run although CI=true: needs moon: wait for it*"])


@pytest.mark.parametrize(
    "source",
    [
        "import pytest\ndef test_it(): pytest.skip('no mood')",
        "import pytest\n@pytest.mark.skip(reason='no mood')\ndef test_it(): pass",
        "import pytest\npytest.skip('no mood', allow_module_level=True)",
    ],
    ids=["in the test", "by mark", "whole module"],
)
def test_no_other_skip_is_silent_in_continuous_integration(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile(source)
    run = pytester.runpytest_inprocess(*PLUGIN)
    assert run.ret != pytest.ExitCode.OK
    run.stdout.fnmatch_lines(["*not run although CI=true: *no mood*"])


def test_an_expected_failure_is_no_skip(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    pytester.makepyfile("import pytest\n@pytest.mark.xfail(reason='known')\ndef test_it(): assert False")
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(xfailed=1)


def test_what_is_there_lets_the_test_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.needs('air')\ndef test_it(): pass")
    pytester.runpytest_inprocess(*PLUGIN).assert_outcomes(passed=1)


def test_a_misspelt_requirement_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\n@pytest.mark.needs('aire')\ndef test_it(): pass")
    run = pytester.runpytest_inprocess(*PLUGIN)
    assert run.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.parametrize("processes", ["0", "2"])
def test_several_runs_collect_their_reasons_in_one_file(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processes: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile("import pytest\n@pytest.mark.needs('moon')\ndef test_it(): pass")
    for _ in range(2):
        run = pytester.runpytest_subprocess("-p", "tests.requirements", "-n", processes, "--not-run=not-run")
        run.assert_outcomes(skipped=1)
    assert (pytester.path / "not-run").read_text() == "needs moon: wait for it\n" * 2
