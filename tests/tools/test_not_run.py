"""The last lines of `make test`."""

from tools.not_run import render


def test_reasons_are_counted_and_long_runs_are_named() -> None:
    assert render(["needs root: be root", "needs a: get a", "needs root: be root"]) == [
        "Not run on this machine:",
        "  1 test: needs a: get a",
        "  2 tests: needs root: be root",
        "  long runs: `make soak`",
    ]


def test_a_complete_run_says_so() -> None:
    assert render([]) == ["Everything that belongs to `make test` was run. Long runs are apart: `make soak`."]
