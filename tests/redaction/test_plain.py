"""What is known to be plain is left as it is by the whole look, whatever it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.contract.plain import is_known_plain
from cdesk.contract.redaction import redact_fields, redact_value

_SECRET = "ghp_" + "a1B2c3D4e5" * 4
_KEYS = st.sampled_from(
    ["model", "tool", "input_tokens", "name", "value", "key", "secret", "password", "content", "id",
     "title", "type", "x" * 20]
)  # fmt: skip
_ITEMS = st.one_of(
    st.sampled_from(
        ["password", "api_key", "hunter2hunter2", _SECRET, "secret", "claude-sonnet-4-5", "Bash"]
    ),
    st.text(max_size=12),
    st.integers(-(10**14), 10**17),
    st.floats(allow_nan=False),
    st.booleans(),
    st.none(),
)


@given(document=st.dictionaries(_KEYS, _ITEMS, max_size=6))
def test_what_is_known_to_be_plain_is_left_as_it_is(document: dict[str, Any]) -> None:
    if is_known_plain(document):
        assert redact_value(document) is document
        assert redact_fields(document) is document


@pytest.mark.parametrize(
    "document",
    [
        {"title": _SECRET},
        {"password": 12345678},
        {"name": "password", "value": 12345678},
        {"length": 4111111111111111},
        {"title": "x" * 300},
    ],
    ids=str,
)
def test_what_has_to_be_looked_at_is_not_plain(document: dict[str, Any]) -> None:
    assert not is_known_plain(document)


def test_what_capture_writes_most_is_plain() -> None:
    said = {"model": "claude-sonnet-4-5", "project": "atlas", "input_tokens": 5, "length": 12}
    assert is_known_plain(said)


def test_a_number_that_may_be_a_cards_is_looked_at_each_time() -> None:
    assert is_known_plain({"n": 10**12 - 1, "x": 1e12 - 1, "on": True})
    assert not is_known_plain({"n": 10**12})
    assert not is_known_plain({"x": 1e12})
