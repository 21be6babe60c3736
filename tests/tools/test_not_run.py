"""The last lines of `make test`."""

from tools.not_run import render


def test_reasons_are_counted_and_long_runs_are_named() -> None:
    assert render(["needs root: be root", "needs a: get a", "needs root: be root"]) == [
        "Not run on this machine:",
        "  1 test: needs a: get a",
        "  2 tests: needs root: be root",
        "  long runs: `make soak`",
    ]


def test_a_run_without_skips_says_so() -> None:
    assert render([]) == ["No test was skipped. Long runs are apart: `make soak`."]
