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
    without_credentials,
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


EVIDENCE = OWN["query_run"]["evidence"][0]


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
        ("query_run", "evidence", None),
        ("query_run", "evidence", [EVIDENCE | {"column": ""}]),
        ("query_run", "evidence", [EVIDENCE | {"column": "x" * 256}]),
        ("query_run", "evidence", [EVIDENCE | {"type": "date"}]),
        ("query_run", "evidence", [EVIDENCE | {"values": "1"}]),
        ("query_run", "evidence", [EVIDENCE | {"values": ["x" * 4097]}]),
        ("query_run", "evidence", [EVIDENCE, EVIDENCE | {"more": 1}]),
        ("query_run", "template", ""),
        ("query_run", "template", "x" * 256),
        ("query_run", "error_code", ""),
        ("query_run", "rows", True),
        ("query_run", "rows", 2**63),
        ("query_run", "elapsed_ms", "1"),
        ("query_run", "as_of", "2026-01-01T00:00:00Z"),
        ("query_run", "artifact_id", "x"),
        ("query_run", "evidence_complete", None),
        ("artifact", "uri", ""),
        ("artifact", "uri", "x" * 2001),
        ("artifact", "bytes", 1.5),
        ("artifact", "legal_hold", None),
        ("artifact", "expires_at", None),
        ("insight", "subject", "x" * 256),
        ("insight", "subject", None),
        ("insight", "metric", "a\x07"),
        ("insight", "metric", "a\x9b"),
        ("insight", "value", float("nan")),
        ("insight", "value", 2**63),
        ("insight", "value", "a\ud800"),
        ("event", "anonymous_customer_id", ""),
        ("event", "ts", 5),
        ("event", "ts", "2026-01-31T12:00:00.123456Z\n"),
        ("event", "session_id", "a" * 256),
        ("event", "link", ""),
        ("event", "link", "https://a\x01"),
        ("event", "revenue_impact", 2**63),
        ("event", "feature_json", {"a": [[float("-inf")]]}),
        ("event", "feature_json", {"a": "x" * (MAX_FEATURE_BYTES - 7)}),
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
    ("kind", "field", "value"),
    [
        ("event", "feature_json", deep(MAX_FEATURE_DEPTH)),
        ("event", "feature_json", {"a": "x" * (MAX_FEATURE_BYTES - 8)}),
        ("event", "feature_json", {"a": 2**63 - 1, "b": -(2**63), "c": [True, None, 0.5]}),
        ("event", "feature_json", {}),
        ("event", "activity", "cdesk." + "a" * 64),
        ("event", "customer", "a" * 255),
        ("event", "customer", "Zoë 🦊"),
        ("event", "anonymous_customer_id", "a"),
        ("event", "session_id", "a" * 255),
        ("event", "link", "https://" + "x" * 1992),
        ("event", "link", None),
        ("event", "revenue_impact", 0),
        ("event", "revenue_impact", 2**63 - 1),
        ("event", "revenue_impact", -(2**63)),
        ("insight", "subject", "x" * 255),
        ("insight", "value", ""),
        ("insight", "value", "x" * 4096),
        ("insight", "value", None),
        ("insight", "value", 0.5),
        ("insight", "provenance_query_hash", None),
        ("artifact", "rows", 0),
        ("artifact", "bytes", 2**63 - 1),
        ("artifact", "uri", "x" * 2000),
        ("query_run", "template", "x"),
        ("query_run", "template", "x" * 255),
        ("query_run", "error_code", "x" * 255),
        ("query_run", "evidence", []),
        ("query_run", "evidence", [EVIDENCE | {"values": ["x" * 4096, ""]}]),
        ("query_run", "evidence", [EVIDENCE | {"column": "x" * 255, "type": "boolean"}]),
        ("query_run", "as_of", "2026-02-28T00:00:00.000000Z"),
        ("query_run", "artifact_id", "019b76da-a800-7000-8000-000000000009"),
    ],
)
def test_a_value_at_its_limit_is_taken(kind: Kind, field: str, value: Any) -> None:
    assert parse_line(encode(made(kind, **{field: value})))[field] == value


def test_a_line_is_taken_up_to_its_limit_and_refused_beyond() -> None:
    def run(length: int) -> dict[str, Any]:
        sql = "x" * length
        return made("query_run", sql=sql, query_hash=proof_hash(sql, OWN["query_run"]["params"]))

    fits = MAX_LINE_BYTES - len(encode(run(0)))
    line = encode(run(fits))
    assert len(line) == MAX_LINE_BYTES
    assert parse_line(line) == run(fits)
    with pytest.raises(InvalidField, match=r"record: 262,145 bytes; allowed: at most 262,144"):
        encode(run(fits + 1))
    with pytest.raises(InvalidField, match=r"record: .*JSON can carry"):
        encode(made("event") | {"id": {1}})


def test_an_integer_below_64_bits_is_refused_when_made() -> None:
    """Read back it is a number with a point, as JSON has one kind of number."""
    for changes in (
        {"revenue_impact": -(2**63) - 1},
        {"feature_json": {"a": {"b": [-(2**63) - 1]}}},
    ):
        with pytest.raises(InvalidField, match="64 bits"):
            made("event", **changes)


@pytest.mark.parametrize("change", [{"surprise": 1}, {"link": ...}])
def test_a_record_has_exactly_the_fields_of_its_kind(change: dict[str, Any]) -> None:
    fields = {k: v for k, v in (OWN["event"] | change).items() if v is not ...}
    with pytest.raises(InvalidField, match="unknown or missing; allowed: v, kind") as caught:
        make_record("event", **ENVELOPE, fields=fields)
    assert caught.value.field == next(iter(change))


SECRET = "ghp_" + "Ab1" * 12


@pytest.mark.parametrize(
    ("kind", "changes", "left"),
    [
        ("event", {"feature_json": {"text": f"with {SECRET}"}}, "feature_json"),
        ("event", {"link": f"https://a/?token={SECRET}"}, "link"),
        ("event", {"session_id": f"s {SECRET}"}, "session_id"),
        ("insight", {"value": SECRET}, "value"),
        ("insight", {"metric": "password", "value": "hunter2hunter2"}, "value"),
        ("insight", {"subject": "password", "metric": "value", "value": "hunter2hunter2"}, "value"),
        ("query_run", {"params": f'{{"text":"{SECRET}"}}'}, "params"),
    ],
)
def test_a_credential_never_stands_in_a_line(
    kind: Kind, changes: dict[str, Any], left: str
) -> None:
    record = made(kind, **changes)
    said = json.loads(encode(record))
    assert said[left] != record[left]
    assert "[secret:" in json.dumps(said[left])
    assert {name for name in record if said[name] != record[name]} == {left}


def test_without_a_credential_nothing_is_copied_and_small_numbers_are_counts() -> None:
    for record in (
        made("event"),
        made("insight", metric="passwords", value=999),
        made("insight", metric="password", value=-999.5),
        made("insight", metric="password", value=None),
        made("artifact", session_id=ENVELOPE["id"]),
    ):
        assert without_credentials(record["kind"], record) is record
    assert without_credentials("insight", made("insight", metric="password", value=1_000))["value"] != 1_000  # fmt: skip


def test_what_stands_for_a_credential_has_its_own_limits() -> None:
    with pytest.raises(InvalidField, match=r"feature_json: .* bytes"):
        encode(made("event", feature_json={"a": [{"password": "hunter22"}] * 2_200}))


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
        (b'{"v":0}', "unknown_version"),
        (b'{"v":"2"}', "unknown_version"),
        (b'{"v":1}', "unknown_kind"),
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
