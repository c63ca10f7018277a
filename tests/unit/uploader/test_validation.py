"""The fast way never takes what the contract refuses, and takes what the shim writes."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from landing_table import event

from cdesk.contract.records import MAX_LINE_BYTES, encode, make_record, parse_line
from cdesk.core.errors import Drift
from uploader.validation import (
    check,
    fast_check,
    overlong,
    quarantine_id,
    quarantine_payload,
    torn,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
FEATURES = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
        ),
    ),
    max_size=5,
)


def line_of(**changes: Any) -> bytes:
    record = {
        "v": 1,
        "kind": "event",
        "id": "019b76da-a800-7000-8000-000000000001",
        "ts": "2026-01-31T12:00:00.123456Z",
        "customer": "ada@example.com",
        "session_id": "s",
        "anonymous_customer_id": None,
        "activity": "cdesk.user_asked",
        "feature_json": {"a": 1},
        "link": None,
        "revenue_impact": None,
        "query_tag": "cdesk_0a1b2c3d",
        "source_system": "claude_desktop",
        "source_version": "2.0",
    } | changes
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def agrees(line: bytes) -> bool:
    """Whether the fast way took the line; fails when it took one that the contract refuses or named
    another id.
    """
    found = fast_check(line)
    if found is not None:
        record = parse_line(line)
        assert (record["id"], record["kind"]) == (found, "event")
    return found is not None


def test_what_the_shim_writes_goes_the_fast_way() -> None:
    for features in (
        {"n": 1, "text": "é 🦊", "x": 0.5, "on": True, "none": None},
        {"nested": {"a": [1, {"b": 2}]}},
    ):
        id, line = event(feature_json=features)
        assert fast_check(line[:-1]) == id
    assert agrees(line_of(link="https://example.com/a?b=c", revenue_impact=12.5))


@given(
    features=FEATURES,
    customer=st.text(min_size=1, max_size=10),
    session=st.none() | st.text(max_size=5),
    link=st.none() | st.sampled_from(["https://a/b", "ftp://x", "s3://b/ä", ""]),
    revenue=st.none() | st.floats() | st.integers(),
)
@settings(max_examples=200)
def test_the_fast_way_takes_nothing_that_the_contract_refuses(
    features: dict[str, Any],
    customer: str,
    session: str | None,
    link: str | None,
    revenue: float | None,
) -> None:
    agrees(
        line_of(
            feature_json=features,
            customer=customer,
            session_id=session,
            link=link,
            revenue_impact=revenue,
        )
    )


FIELDS = list(json.loads(line_of()))


@given(
    field=st.sampled_from(FIELDS),
    value=SCALARS
    | FEATURES
    | st.sampled_from(
        [
            "2026-02-30T00:00:00.000000Z",
            "2026-01-31T24:00:00.000000Z",
            "cdesk.UPPER",
            "cdesk.a\n",
            "cdesk_0a1b2c3d\n",
            "019b76da-a800-9000-8000-000000000001",
            2**63,
            2**64,
            -(2**63) - 1,
            10**400,
        ]
    ),
)
@settings(max_examples=300)
def test_one_odd_field_is_judged_alike(field: str, value: Any) -> None:
    agrees(line_of(**{field: value}))


@given(data=st.data())
@settings(max_examples=400)
def test_one_changed_byte_is_judged_alike(data: st.DataObject) -> None:
    line = bytearray(
        line_of(feature_json={"a": 1234567890123456789, "b": [1.5, {"c": "é"}], "d": 1e300})
    )
    index = data.draw(st.integers(0, len(line) - 1))
    line[index] = data.draw(st.integers(0, 255).filter(lambda byte: byte != 0x0A))
    agrees(bytes(line))


@pytest.mark.parametrize(
    "features",
    [
        '{"a":1,"a":2}',
        '{"a":9223372036854775808}',
        '{"a":18446744073709551616}',
        '{"a":1e999}',
        '{"a":NaN}',
        '{"a":' + "[" * 40 + "]" * 40 + "}",
        '{"a":"' + "x" * 70_000 + '"}',
        '{"a":1}x{"b":2}',
        '{"a":1},"link":null,"revenue_impact":null,"x":{"b":2}',
        '{"a":"\\ud800"}',
        '{"a": 1}',
    ],
)
def test_odd_features_never_go_the_fast_way(features: str) -> None:
    line = line_of().replace(b'{"a":1}', features.encode())
    assert fast_check(line) is None


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe")
@example(b"null")
@example(b'{"v":2}')
@example(b"[" * 5000)
def test_any_bytes_are_drift_and_stay_readable_in_quarantine(raw: bytes) -> None:
    with pytest.raises(Drift) as drift:
        check(raw)
    payload = orjson.loads(quarantine_payload(raw, drift.value.reason, drift.value.detail))
    assert payload["reason"] == drift.value.reason
    try:
        assert payload["raw"] == raw.decode("utf-8")
    except UnicodeDecodeError:
        assert "\\x" in payload["raw"]


def test_other_kinds_are_checked_by_the_contract() -> None:
    record = make_record(
        "insight",
        id="019b76da-a800-7000-8000-000000000001",
        ts="2026-01-31T12:00:00.123456Z",
        customer="ada",
        session_id=None,
        query_tag="cdesk_0a1b2c3d",
        fields={"subject": "s", "metric": "m", "value": 1, "provenance_query_hash": None},
    )
    assert check(encode(record)[:-1]) == (record["id"], "insight")


def test_a_quarantine_id_is_of_the_contract() -> None:
    assert quarantine_id("a.ndjson", 7) == "q-3880c8b58f3f843f238907535456c8c7"


@pytest.mark.parametrize(
    ("features", "is_fast"),
    [
        ('{"a":"' + "x" * 32_760 + '"}', True),
        ('{"a":"' + "x" * 32_761 + '"}', False),
        ('{"a":9223372036854775807,"b":-9223372036854775808}', True),
        ('{"a":9223372036854775808}', False),
        ('{"a":-9223372036854775809}', False),
        ('{"a":[1,{"b":["é"]}]}', True),
        ('{"a":' + "[" * 31 + "]" * 31 + "}", True),
        ('{"a":' + "[" * 32 + "]" * 32 + "}", False),
        ('{"a":' + '{"b":' * 31 + "1" + "}" * 31 + "}", True),
        ('{"a":' + '{"b":' * 32 + "1" + "}" * 32 + "}", False),
        ('{"a":[' + "9" * 18 + "]}", True),
        ('{"a":[' + "9" * 19 + "]}", False),
        ('{"a":[' + "0123456789" * 2 + "]}", False),
        ('{"a":["' + "0" * 19 + '"]}', False),
        ('{"a":[1],"a":[1]}', False),
        ('{"a":[1, 2]}', False),
        ('{"a":["\xff"]}', False),
    ],
)
def test_what_surely_keeps_the_contract_goes_the_fast_way(features: str, is_fast: bool) -> None:
    """Whatever does not is decided by the contract, not refused."""
    raw = features.encode("latin-1" if "\xff" in features else "utf-8")
    line = line_of().replace(b'{"a":1}', raw)
    assert agrees(line) is is_fast
    if is_fast:
        assert check(line) == ("019b76da-a800-7000-8000-000000000001", "event")


def test_a_refused_line_is_kept_to_the_longest_and_its_reason_to_a_thousand() -> None:
    payload = orjson.loads(quarantine_payload(b"x" * (MAX_LINE_BYTES + 1), "torn", "d" * 1_001))
    assert payload == {"raw": "x" * MAX_LINE_BYTES, "reason": "torn", "detail": "d" * 1_000}
    shown = orjson.loads(quarantine_payload(b"a\xffb", "not_utf8", "lone \ud83d"))
    assert shown == {"raw": "a\\xffb", "reason": "not_utf8", "detail": "lone \\ud83d"}


def test_what_is_too_long_or_torn_says_so() -> None:
    long = overlong(300_000)
    assert (long.reason, long.detail) == ("too_long", "300,000 bytes, at most 262,144")
    assert torn().reason == "torn"
    assert "in the middle of this line" in torn().detail
