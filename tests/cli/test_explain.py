"""Every error of the tree has its sentences, and they fit its facts."""

from __future__ import annotations

import re
import string
from typing import Any, get_type_hints

import pytest

from mikoshi.cli.explain import DERIVED, exit_code, explain
from mikoshi.cli.output import error_text
from mikoshi.cli.texts import TEXTS
from mikoshi.core.errors import (
    ConfigInvalid,
    DeployFailed,
    HealthFailed,
    HostUnreachable,
    MikoshiError,
    PortTaken,
    ProcessEnded,
    error_types,
    from_wire,
    to_wire,
)
from mikoshi.core.running_errors import NotEverywhere

SAMPLES: dict[str, Any] = {"str": "sample", "int": 7, "float": 1.25, "bool": True, "dict": {"refused": 2}}


def sample(kind: type[MikoshiError]) -> MikoshiError:
    facts: dict[str, Any] = {}
    for name, annotation in get_type_hints(kind).items():
        if name in kind.fact_names:
            facts[name] = [] if str(annotation).startswith("list") else SAMPLES[annotation.__name__]
    if kind in (DeployFailed, NotEverywhere):
        facts["exit"] = 6
    if kind is NotEverywhere:
        facts["verb"] = "restart"
    return kind(**facts)


@pytest.mark.parametrize("name", sorted(error_types()))
def test_every_error_explains_itself_in_full(name: str) -> None:
    error = sample(error_types()[name]).on("web1", "stage")
    text = error_text(explain(error))
    assert text.startswith("mikoshi: ")
    assert not re.search(r"\{(?!fd\})[a-z_]+\}", text), "a fact was not filled in"  # {fd} is meant: users write it
    assert exit_code(error) in (1, 2, 3, 4, 5, 6, 7, 130)


@pytest.mark.parametrize("name", sorted(error_types()))
def test_every_error_survives_the_wire(name: str) -> None:
    error = sample(error_types()[name]).on("web1", "stage")
    again = from_wire(to_wire(error))
    assert type(again) is type(error)
    assert again.facts() == error.facts()
    assert (again.node, again.step) == ("web1", "stage")


def test_no_sentence_is_left_over_for_an_error_that_is_gone() -> None:
    assert set(TEXTS) == set(error_types()) - {"DeployFailed", "NotEverywhere"}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_sentences_name_only_facts_that_the_error_has(name: str) -> None:
    known = {*error_types()[name].fact_names, *DERIVED.get(name, ()), "node"}
    for text in TEXTS[name]:
        used = {part for _, part, _, _ in string.Formatter().parse(text) if part}
        assert used <= known


def test_the_node_is_named_once_and_first() -> None:
    error = HostUnreachable("web1.example.com:22", "Connection refused").on("web1")
    assert explain(error).what == "web1: no connection to web1.example.com:22: Connection refused"


def test_output_of_the_application_stands_below_its_failure() -> None:
    error = HealthFailed("web", "http://127.0.0.1:8080/up", "500", 30.0, ["boom", "bang"]).on("web1")
    failed = DeployFailed(3, 6, [error], [], 2, [])
    text = error_text(explain(failed))
    assert "deployment 3 failed: every node that had changed went back. Deployment 2 runs." in text
    assert "web1: web is not healthy after 30.0 s" in text
    assert text.index("│ boom") < text.index("│ bang")


def test_an_end_is_told_as_people_say_it() -> None:
    def told(status: int, opened: str = "") -> str:
        return error_text(explain(ProcessEnded("web", status, "trial", [], opened).on("web1")))

    assert told(3).rstrip() == "mikoshi: web1: web ended with status 3 on trial"
    assert "web was killed by SIGKILL on trial" in told(-9)
    assert "It has to stay in the foreground." in told(0)
    assert "web opened 127.0.0.1:8080 itself" in told(1, "127.0.0.1:8080")
    assert "gunicorn --bind fd://{fd}" in told(1, "127.0.0.1:8080")


def test_who_has_a_port_is_named() -> None:
    assert "process 7 (nginx) does already" in error_text(explain(PortTaken("web", "127.0.0.1:80", 7, "nginx")))
    assert "a process that cannot be seen" in error_text(explain(PortTaken("web", "127.0.0.1:80", 0, "")))


def test_all_problems_of_a_configuration_are_listed() -> None:
    text = error_text(explain(ConfigInvalid(["mikoshi.toml:1: a", "mikoshi.toml:2: b"])))
    assert "mikoshi.toml:1: a" in text
    assert "mikoshi.toml:2: b" in text


def test_nodes_that_need_a_person_are_named() -> None:
    failed = DeployFailed(3, 7, [], ["web1", "web2"], 2, [])
    assert "web1, web2" in explain(failed).what
    assert exit_code(failed) == 7


def test_what_was_not_undone_is_said() -> None:
    assert "not undone: a migration" in error_text(explain(DeployFailed(3, 6, [], [], 2, ["a migration"])))
