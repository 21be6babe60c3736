"""Single values: what they mean, and what they never mean."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikoshi.config.problems import Unexpected
from mikoshi.config.values.addresses import host, listen
from mikoshi.config.values.durations import duration, time_limit
from mikoshi.config.values.numbers import amount
from mikoshi.config.values.paths import inside_tree, on_node
from mikoshi.config.values.text import host_key
from mikoshi.core.address import Address
from mikoshi.core.rollout import Amount

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda below: st.lists(below, max_size=2) | st.dictionaries(st.text(), below, max_size=2),
    max_leaves=3,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("5m", 300), ("1h30m", 5400), ("500ms", 0.5), ("1s500ms", 1.5), ("0s", 0), ("1h0m1s", 3601)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "5", "1m1h", "1s1s", "-1s", "1.5s", " 1s", "1 s", "1S", "9999999s", 30, True]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(Unexpected):
        duration(text)


def test_a_time_limit_of_nothing_is_refused() -> None:
    with pytest.raises(Unexpected):
        time_limit("0m")


@pytest.mark.parametrize(
    ("value", "meant"),
    [(1, Amount(count=1)), (12, Amount(count=12)), ("50%", Amount(percent=50)), ("100 %", Amount(percent=100))],
)
def test_amounts_are_counts_or_percentages(value: object, meant: Amount) -> None:
    assert amount(value) == meant


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (8080, "127.0.0.1:8080"),
        ("0.0.0.0:80", "0.0.0.0:80"),
        ("[::]:80", "[::]:80"),
        ("[2001:DB8:0::1]:443", "[2001:db8::1]:443"),
    ],
)
def test_a_port_alone_is_on_loopback(value: object, meant: str) -> None:
    assert listen(value) == meant


@pytest.mark.parametrize(
    "value", [0, 65536, True, "8080", ":80", "0.0.0.0", "::80", "[0.0.0.0]:80", "1.2.3:80", "a:80"]
)
def test_what_is_no_address_to_listen_on_is_refused(value: object) -> None:
    with pytest.raises(Unexpected):
        listen(value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("web1", Address("web1", "web1")),
        ("deploy@web1.example.com", Address("web1.example.com", "web1.example.com", user="deploy")),
        ("d@web1:2222", Address("web1:2222", "web1", 2222, "d")),
        ("ssh://d@web1:2222/", Address("web1:2222", "web1", 2222, "d")),
        ("[::1]:22", Address("[::1]:22", "::1", 22)),
        ("root@[2001:DB8::1]", Address("[2001:db8::1]", "2001:db8::1", user="root")),
        ("[fe80::1%eth0]", Address("[fe80::1%eth0]", "fe80::1%eth0")),
        ("local", Address("local")),
        ("local/a-1", Address("local/a-1", label="a-1")),
    ],
)
def test_hosts_are_read_into_addresses(text: str, meant: Address) -> None:
    assert host(text) == meant


@given(st.text(alphabet="-@:/[]. ao0%\n", max_size=12))
def test_no_host_can_be_taken_for_an_option_or_break_a_line(text: str) -> None:
    try:
        address = host(text)
    except Unexpected:
        return
    for part in (address.name, address.host, address.user, address.label):
        assert not part.startswith("-")
        assert not set(part) & set(" \n/") or address.local
    assert address.local == text.startswith("local")


@given(st.text(alphabet="./~a\n", max_size=10))
def test_a_path_inside_the_tree_never_leaves_it(text: str) -> None:
    try:
        path = inside_tree(text)
    except Unexpected:
        return
    assert not path.startswith(("/", "~"))
    assert not {"..", ".", ""} & set(path.removesuffix("/").split("/"))


@pytest.mark.parametrize("value", ["", "/", "~", "srv", "~other/x", "/srv/../etc", "/a\nb", 5])
def test_what_is_no_directory_on_a_node_is_refused(value: object) -> None:
    with pytest.raises(Unexpected):
        on_node(value)


def test_a_host_key_is_kept_without_its_comment() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3pKFUL7dLNgYCYWBPdQbLCBXlBZ3QAYPmBXHdyPGyD"
    assert host_key(f"{key} root@web1") == key
    fingerprint = "SHA256:DojhnLZLRlkpLUd4HtTFTAhrnkSnIeOhxvNwCvEzkT0"
    assert host_key(fingerprint) == fingerprint


def sentence(parse: Callable[[object], object], value: object) -> str:
    """What is said of a value, "" if it is right."""
    try:
        parse(value)
    except Unexpected as error:
        return error.text(value)
    return ""


@given(ANYTHING)
def test_a_value_of_any_kind_is_read_or_refused_in_one_line(value: object) -> None:
    for parse in (duration, time_limit, amount, listen, host, inside_tree, on_node, host_key):
        said = sentence(parse, value)
        assert not said or (said.startswith("expected ") and len(said.split("\n")) == 1)
