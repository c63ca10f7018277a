from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.contract.records import (
    FIELDS,
    MAX_FEATURE_BYTES,
    MAX_FEATURE_DEPTH,
    MAX_LINE_BYTES,
    Kind,
    encode,
    make_record,
    parse_line,
    proof_hash,
)
from cdesk.core.errors import Drift, InvalidField

ENVELOPE = {
    "id": "019b76da-a800-7000-8000-000000000001",
    "ts": "2026-01-31T12:00:00.123456Z",
    "customer": "ada@example.com",
    "session_id": None,
    "query_tag": "cdesk_0a1b2c3d",
}
OWN: dict[Kind, dict[str, Any]] = {
    "event": {
        "anonymous_customer_id": None,
        "activity": "cdesk.user_asked",
        "feature_json": {"a": [1, {"b": 0.5}]},
        "link": "s3://bucket/key",
        "revenue_impact": -1.5,
    },
    "revision": {
        "anonymous_customer_id": None,
        "activity": "cdesk.user_asked",
        "feature_json": {"a": 2},
        "link": None,
        "revenue_impact": None,
        "replaces": "019b76da-a800-7000-8000-000000000003",
        "revision": 1,
    },
    "insight": {
        "subject": "s",
        "metric": "m",
        "value": True,
        "provenance_query_hash": "0123456789abcdef",
    },
    "artifact": {
        "uri": "cdesk://artifact/1",
        "format": "parquet",
        "rows": 1,
        "bytes": 2,
        "sampled": False,
        "query_hash": "0123456789abcdef",
        "expires_at": "2026-02-28T00:00:00.000000Z",
        "legal_hold": False,
    },
    "query_run": {
        "ticket_id": "019b76da-a800-7000-8000-000000000002",
        "template": "health",
        "sql": "select 1",
        "params": '{"customer":"ada"}',
        "query_hash": proof_hash("select 1", '{"customer":"ada"}'),
        "rows": 1,
        "bytes": 10,
        "sampled": False,
        "status": "succeeded",
        "error_code": None,
        "elapsed_ms": 1.25,
        "as_of": None,
        "artifact_id": None,
        "evidence": [
            {"column": "n", "basis": "system", "type": "number", "values": ["1", "2"]},
        ],
        "evidence_complete": True,
    },
}


def made(kind: Kind, **changes: Any) -> dict[str, Any]:
    envelope = {name: changes.pop(name, value) for name, value in ENVELOPE.items()}
    return make_record(kind, **envelope, fields=OWN[kind] | changes)


def deep(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"d": value}
    return value


@pytest.mark.parametrize("kind", OWN)
def test_a_record_reads_back_as_it_was_made(kind: Kind) -> None:
    record = made(kind)
    line = encode(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert parse_line(line) == parse_line(line[:-1]) == record
    assert record.keys() == FIELDS[kind].keys()


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("revision", "activity", "cdesk.Upper"),
        ("revision", "replaces", None),
        ("revision", "revision", -1),
        ("event", "activity", "cdesk.Upper"),
        ("event", "activity", "other.asked"),
        ("event", "activity", "cdesk.asked\n"),
        ("event", "activity", "cdesk." + "a" * 65),
        ("event", "feature_json", []),
        ("event", "feature_json", {"a": float("nan")}),
        ("event", "feature_json", {"a": 2**63}),
        ("event", "feature_json", {"a": "x" * MAX_FEATURE_BYTES}),
        ("event", "feature_json", deep(MAX_FEATURE_DEPTH + 1)),
        ("event", "feature_json", {"a": "\ud800"}),
        ("event", "link", "ftp://x"),
        ("event", "link", "https://" + "x" * 2000),
        ("event", "link", "https://a b"),
        ("event", "revenue_impact", float("inf")),
        ("event", "revenue_impact", True),
        ("event", "customer", ""),
        ("event", "customer", "a" * 256),
        ("event", "customer", "a\x00b"),
        ("event", "ts", "2026-02-30T00:00:00.000000Z"),
        ("event", "ts", "2026-01-01T00:00:00Z"),
        ("event", "id", "019B76DA-A800-7000-8000-000000000001"),
        ("event", "query_tag", "cdesk_0A1B2C3D"),
        ("event", "session_id", ""),
        ("insight", "subject", ""),
        ("insight", "value", "x" * 4097),
        ("insight", "value", {}),
        ("insight", "provenance_query_hash", "xyz"),
        ("artifact", "format", "xlsx"),
        ("artifact", "rows", -1),
        ("artifact", "sampled", 1),
        ("query_run", "status", "running"),
        ("query_run", "evidence", [[1]]),
        ("query_run", "evidence", [{"column": "n", "basis": "system", "values": []}]),
        (
            "query_run",
            "evidence",
            [{"column": "n", "basis": "mine", "type": "number", "values": []}],
        ),
        (
            "query_run",
            "evidence",
            [{"column": "n", "basis": "system", "type": "number", "values": [1]}],
        ),
        ("query_run", "params", None),
        ("query_run", "params", "{"),
        ("query_run", "params", "[]"),
    ],
)
def test_a_value_outside_its_limits_is_named_when_made_and_drift_when_read(
    kind: Kind, field: str, value: Any
) -> None:
    with pytest.raises(InvalidField) as caught:
        made(kind, **{field: value})
    assert caught.value.field == field
    assert caught.value.allowed
    line = json.dumps(made(kind) | {field: value}).encode()
    with pytest.raises(Drift) as drift:
        parse_line(line)
    assert drift.value.reason in ("wrong_value", "not_json")
    if drift.value.reason == "wrong_value":
        assert field in drift.value.detail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("feature_json", deep(MAX_FEATURE_DEPTH)),
        ("feature_json", {"a": "x" * (MAX_FEATURE_BYTES - 8)}),
        ("feature_json", {"a": 2**63 - 1, "b": -(2**63)}),
        ("feature_json", {}),
        ("activity", "cdesk." + "a" * 64),
        ("customer", "a" * 255),
        ("customer", "Zoë 🦊"),
        ("revenue_impact", 0),
    ],
)
def test_a_value_at_its_limit_is_taken(field: str, value: Any) -> None:
    assert parse_line(encode(made("event", **{field: value})))[field] == value


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff", "not_utf8"),
        (b"[]", "not_an_object"),
        (b"{}", "unknown_version"),
        (b'{"v":2}', "newer_version"),
        (b'{"v":true}', "unknown_version"),
        (b'{"v":1,"kind":"other"}', "unknown_kind"),
        (b'{"v":1,"kind":["event"]}', "unknown_kind"),
        (b'{"v":1,"kind":"event"}', "missing_field"),
        (b"x" * (MAX_LINE_BYTES + 1), "too_long"),
    ],
)
def test_what_is_no_record_has_a_reason(line: bytes, reason: str) -> None:
    with pytest.raises(Drift) as drift:
        parse_line(line)
    assert drift.value.reason == reason


def test_a_field_too_many_is_drift() -> None:
    with pytest.raises(Drift, match=r"unknown_field.*surprise"):
        parse_line(json.dumps(made("event") | {"surprise": 1}).encode())


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_parse_or_drift(raw: bytes) -> None:
    with pytest.raises(Drift):
        parse_line(raw)


@pytest.mark.parametrize(
    "changes",
    [
        {"query_hash": "0" * 16},
        {"sql": "select 2"},
        {"params": '{"customer":"bob"}'},
        {"params": '{"customer": "ada"}'},
    ],
)
def test_a_run_whose_hash_is_not_that_of_its_sql_and_parameters_is_drift(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(Drift, match="query_hash"):
        parse_line(encode(made("query_run", **changes)))


def test_a_run_whose_parameters_were_redacted_is_no_drift() -> None:
    redacted = made("query_run", params='{"text":"[secret:github_token]"}')
    assert parse_line(encode(redacted)) == redacted
