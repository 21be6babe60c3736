"""Deployments and settings: what counts as the same, and what the digests depend on."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikoshi.core.deployment import (
    DONE,
    FAILED,
    REVERTING,
    RUNNING,
    Deployment,
    FleetRecord,
    Settings,
    canonical_json,
    deployment_from_json,
    fleet_record_from_json,
    secret_mac,
    settings_from_json,
)

VARS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
SETTINGS = st.builds(
    Settings,
    processes=st.dictionaries(st.text(max_size=5), VARS, max_size=2),
    vars=VARS,
    hosts=st.dictionaries(st.sampled_from(["h1", "h2"]), st.fixed_dictionaries({"vars": VARS}), max_size=2),
    shared=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    run_as=st.text(max_size=5),
    restart=st.none() | VARS,
    secrets=VARS,
)
DEPLOYMENT = Deployment(7, "r" * 64, "s" * 64, "mika", 1.5, "why", 5, "c0ffee")
OTHER_VALUES = {
    "processes": {"web": {}},
    "vars": {"A": "1"},
    "hosts": {"h": {"vars": {"A": "1"}}},
    "shared": ("media/",),
    "assets": ("public/",),
    "hooks": {"before_activate": {"run": "x"}},
    "run_as": "shop",
    "restart": {"run": "x"},
    "replaces": "shop.service",
    "secrets": {"KEY": "mac"},
}


@given(SETTINGS)
def test_settings_come_back_from_json_with_the_same_digest(settings: Settings) -> None:
    again = settings_from_json(json.loads(json.dumps(settings.to_json())))
    assert again == settings
    assert again.digest() == settings.digest()


@given(VARS)
def test_the_digest_does_not_depend_on_the_order_of_keys(values: dict[str, str]) -> None:
    reversed_values = dict(reversed(list(values.items())))
    assert Settings(vars=values).digest() == Settings(vars=reversed_values).digest()


@pytest.mark.parametrize("name", [field.name for field in fields(Settings)])
def test_every_field_takes_part_in_the_digest(name: str) -> None:
    changed = settings_from_json({**Settings().to_json(), name: OTHER_VALUES[name]})
    assert changed.digest() != Settings().digest()


def test_the_digest_of_known_settings_never_changes() -> None:
    settings = Settings(vars={"B": "2", "A": "ä"}, shared=("media/",), secrets={"KEY": "mac"})
    assert settings.digest() == "8a5dd15e8f170b79cfb6bfc10a82d3b26e2ee6021ddeba54bb069427b2c0ff22"


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(TypeError):
        settings_from_json({"colour": "red"})


def test_a_host_has_its_own_values_and_none_of_the_others() -> None:
    settings = Settings(
        processes={"web": {"listen": "1"}},
        vars={"A": "all", "B": "all"},
        hosts={"one": {"vars": {"A": "one"}, "processes": {"web": {"listen": "2"}}}, "two": {"vars": {"C": "two"}}},
        shared=("s",), assets=("a",), hooks={"h": 1}, run_as="u", restart="r", replaces="p", secrets={"K": "m"},
    )  # fmt: skip
    one = settings.for_host("one")
    assert one.vars == {"A": "one", "B": "all"}
    assert one.processes == {"web": {"listen": "2"}}
    assert one.hosts == {}
    assert settings.for_host("three") == replace(settings, hosts={})


def test_a_secret_s_mac_depends_on_key_name_and_value_and_gives_none_away() -> None:
    macs = {secret_mac(key, name, value) for key in (b"k", b"l") for name in "ab" for value in ("v", "w")}
    assert len(macs) == 8
    assert secret_mac(b"k", "ab", "c") != secret_mac(b"k", "a", "bc")
    assert all(len(mac) == 64 for mac in macs)


def test_canonical_json_has_sorted_keys_no_spaces_and_plain_unicode() -> None:
    assert canonical_json({"b": [1, 2], "a": "é"}) == '{"a":"é","b":[1,2]}'.encode()


def test_a_deployment_comes_back_from_json() -> None:
    assert deployment_from_json(json.loads(json.dumps(DEPLOYMENT.to_json()))) == DEPLOYMENT


def test_same_content_means_same_release_and_same_settings() -> None:
    assert DEPLOYMENT.same_content(replace(DEPLOYMENT, seq=8, by="other", at=9.0, message="", origin=8))
    assert not DEPLOYMENT.same_content(replace(DEPLOYMENT, release="x"))
    assert not DEPLOYMENT.same_content(replace(DEPLOYMENT, settings_digest="x"))


@given(SETTINGS, st.sampled_from([RUNNING, REVERTING, DONE, FAILED]))
def test_a_fleet_record_comes_back_from_json(settings: Settings, outcome: str) -> None:
    record = FleetRecord(DEPLOYMENT, settings, 6, ("a", "b"), outcome, 2.0, ("HealthFailed on a",))
    assert fleet_record_from_json(json.loads(json.dumps(record.to_json()))) == record
    assert record.seq == 7
    assert record.unfinished == (outcome in (RUNNING, REVERTING))
