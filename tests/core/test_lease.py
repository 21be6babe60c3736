"""A lease ends by the node's boot clock alone, and its token never goes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mikoshi.core import lease
from mikoshi.core.lease import EngineProcess, Instant, Lease, MalformedLease

ENGINE = EngineProcess(42, 1000, "pid:[1]")
BOOT, OTHER_BOOT = "boot-1", "boot-2"
seconds = st.floats(min_value=0, max_value=1e9, allow_nan=False)


def taken_at(clock: float, ttl: float = 30.0, before: Lease | None = None) -> Lease:
    return lease.taken(before or Lease(), "ann", "deploy 7", ttl, Instant(clock, BOOT), ENGINE)


def test_nobodys_lease_binds_nobody() -> None:
    assert not lease.binds(Lease(), Instant(0, BOOT), engine_gone=False)


def test_a_lease_binds_until_its_time_is_over() -> None:
    held = taken_at(100.0)
    assert lease.binds(held, Instant(129.9, BOOT), engine_gone=False)
    assert not lease.binds(held, Instant(130.0, BOOT), engine_gone=False)


def test_a_dead_engine_binds_nobody() -> None:
    assert not lease.binds(taken_at(100.0), Instant(101.0, BOOT), engine_gone=True)


def test_another_boot_ends_every_lease_even_where_its_clock_is_lower() -> None:
    assert lease.remaining(taken_at(1e6), Instant(5.0, OTHER_BOOT)) == 0
    assert not lease.binds(taken_at(1e6), Instant(5.0, OTHER_BOOT), engine_gone=False)


def test_renewing_counts_from_now() -> None:
    renewed = lease.renewed(taken_at(100.0), Instant(120.0, BOOT))
    assert lease.remaining(renewed, Instant(120.0, BOOT)) == 30.0


@given(st.lists(st.sampled_from(["take", "release", "renew"])), seconds)
def test_the_token_never_goes_back(actions: list[str], clock: float) -> None:
    held, tokens = Lease(), [0]
    for number, action in enumerate(actions):
        now = Instant(clock + number, BOOT)
        if action == "take":
            held = taken_at(now.clock, before=held)
            assert held.token == tokens[-1] + 1
        elif action == "renew":
            held = lease.renewed(held, now)
        else:
            held = lease.released(held)
            assert held.holder == ""
        tokens.append(held.token)
    assert tokens == sorted(tokens)


@given(seconds, st.floats(min_value=0.1, max_value=1e6), st.text())
def test_a_lease_survives_its_file(clock: float, ttl: float, message: str) -> None:
    held = lease.taken(Lease(), "ann", message, ttl, Instant(clock, BOOT), ENGINE)
    assert lease.lease_from_bytes(lease.lease_to_bytes(held)) == held


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"token": 1, "engine": {"pid": 1, "x": 2}}'])
def test_other_bytes_are_no_lease(data: bytes) -> None:
    with pytest.raises(MalformedLease):
        lease.lease_from_bytes(data)


def test_a_view_says_who_and_how_long() -> None:
    shown = lease.view(taken_at(100.0), Instant(110.0, BOOT), engine_gone=False)
    assert (shown.holder, shown.message, shown.token, shown.expires_in, shown.alive) == (
        "ann",
        "deploy 7",
        1,
        20.0,
        True,
    )
