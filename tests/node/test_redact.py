"""What commands print leaves the node without the secrets in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mikoshi.node.redact import SHORTEST, redaction

# Small letters and line ends for secrets, digits around them, capitals for names: what survives is never chance.
VALUES = st.dictionaries(
    st.sampled_from(["TOKEN", "PASSWORD", "KEY"]), st.text("abc \n", min_size=SHORTEST), max_size=3
)
AROUND = st.text("0123456789")


@given(VALUES, AROUND, AROUND)
def test_no_line_of_a_secret_survives(secrets: dict[str, str], before: str, after: str) -> None:
    shown = redaction(secrets)
    for value in secrets.values():
        for piece in (value, *value.splitlines()):
            if len(piece.strip()) >= SHORTEST:
                assert piece not in shown(f"{before}{piece}{after}")


def test_a_secret_inside_another_leaves_nothing_of_either() -> None:
    shown = redaction({"SHORT": "hunter2", "LONG": "hunter2hunter3"})("x hunter2hunter3 y hunter2 z")
    assert shown == "x [LONG] y [SHORT] z"


def test_each_line_of_a_key_is_hidden() -> None:
    assert redaction({"KEY": "-----BEGIN\nAAAA\n-----END"})("AAAA") == "[KEY]"


def test_values_too_short_to_be_told_from_words_are_left_alone() -> None:
    assert redaction({"FLAG": "on"})("come on") == "come on"
