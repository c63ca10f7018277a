"""Landed lines that engines like to disagree about: ties, late rows, nulls, unicode, deep JSON,
huge integers, microseconds, refused lines."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from cdesk.warehouse.protocol import LandedLine

START = datetime(2026, 1, 31, 12, 0, 0, 123456)  # noqa: DTZ001  # texts are made of it
NOW = "2026-02-01T00:00:00"
CUSTOMERS = ("ada@example.com", "Zoë Ångström 北京", 'o\'brien "quoted"')


def uuid(number: int) -> str:
    return f"01940000-0000-7000-8000-{number:012x}"


def ts(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def envelope(
    kind: str, number: int, seconds: float, customer: str, **fields: Any
) -> dict[str, Any]:
    return {
        "v": 1,
        "kind": kind,
        "id": uuid(number),
        "ts": ts(seconds),
        "customer": customer,
        "session_id": None if number % 3 else f"session-{number % 5}",
        "query_tag": "cdesk_1a2b3c4d",
        "source_system": "claude_desktop",
        "source_version": "2.0",
        **fields,
    }


def event(
    number: int, seconds: float, customer: str, activity: str = "cdesk.user_asked", **fields: Any
) -> dict[str, Any]:
    own = {
        "anonymous_customer_id": None,
        "activity": activity,
        "feature_json": {},
        "link": None,
        "revenue_impact": None,
    }
    return envelope("event", number, seconds, customer, **(own | fields))


def query_run(
    number: int, seconds: float, customer: str, query_hash: str, values: list[Any], **fields: Any
) -> dict[str, Any]:
    own: dict[str, Any] = {
        "ticket_id": uuid(900 + number),
        "template": "activity_counts",
        "sql": "select ?",
        "params": {"days": 7, "deep": {"a": [1]}},
    }
    own |= {
        "query_hash": query_hash,
        "rows": 3,
        "bytes": 120,
        "sampled": False,
        "status": "succeeded",
        "error_code": None,
    }
    own |= {
        "elapsed_ms": 12.5,
        "as_of": ts(0),
        "artifact_id": None,
        "result_values": values,
        "result_values_complete": True,
    }
    return envelope("query_run", number, seconds, customer, **(own | fields))


def insight(
    number: int,
    seconds: float,
    customer: str,
    value: Any,
    query_hash: str | None = None,
    subject: str = "revenue",
) -> dict[str, Any]:
    return envelope(
        "insight",
        number,
        seconds,
        customer,
        subject=subject,
        metric="weekly_total",
        value=value,
        provenance_query_hash=query_hash,
    )


def first() -> list[dict[str, Any]]:
    """What is landed before the first build."""
    ada, zoe, brien = CUSTOMERS
    deep: Any = "bottom"
    for level in range(24):
        deep = {"level": level, "next": [deep]}
    rows = [
        event(
            1,
            0,
            ada,
            feature_json={
                "question": "How much? mail bob@example.org or +49 30 1234567",
                "deep": deep,
            },
        ),
        event(2, 0, ada, feature_json={"question": "the same instant", "n": 9007199254740993}),
        event(
            3,
            0.000001,
            ada,
            feature_json={
                "question": "one microsecond later",
                "huge": 12345678901234567890123456789,
            },
        ),
        event(
            4,
            5,
            ada,
            "cdesk.claude_responded",
            feature_json={
                "model": "m",
                "length": 12,
                "input_tokens": 3,
                "output_tokens": 4,
                "latency_ms": 10.5,
            },
        ),
        event(
            5,
            6,
            zoe,
            feature_json={
                "question": 'Größe? \u2028 \U0001f600 \\ " / \t',
                "nothing": None,
                "empty": {},
                "list": [],
            },
        ),
        event(
            6,
            7,
            zoe,
            "cdesk.tool_called",
            feature_json={
                "tool": "get_context",
                "latency_ms": 3.25,
                "outcome": "ok",
                "where": None,
            },
        ),
        event(
            7,
            8,
            brien,
            "cdesk.file_read",
            feature_json={"path": "/home/x/notes.txt", "kind": "text", "bytes": 2**53},
            link="https://example.com/a?b=c",
        ),
        event(
            8,
            9,
            ada,
            "cdesk.sql_completed",
            feature_json={
                "ticket_id": uuid(910),
                "template": "t",
                "query_hash": "0123456789abcdef",
                "rows": 3,
            },
        ),
        event(
            9,
            3600,
            ada,
            "cdesk.error_encountered",
            feature_json={"error_code": "x", "message": "token ghp_abcdefghijklmnop"},
            revenue_impact=-0.1,
        ),
        event(
            10,
            86400 * -20,
            zoe,
            feature_json={"question": "long ago"},
            revenue_impact=1e-7,
            anonymous_customer_id="anon-1",
        ),
        query_run(20, 10, ada, "00000000000000aa", [1250, "1,250", True, 0.1]),
        query_run(
            21,
            11,
            ada,
            "00000000000000bb",
            [],
            status="failed",
            error_code="warehouse_error",
            as_of=None,
            result_values_complete=False,
        ),
        insight(30, 12, ada, 1250, "00000000000000aa"),
        insight(31, 13, ada, 1251, "00000000000000aa", "other"),
        insight(32, 14, zoe, "ça va", None),
        insight(33, 15, zoe, None, "00000000000000cc", "void"),
        insight(34, 16, zoe, True, None, "flag"),
    ]
    artifact: dict[str, Any] = {
        "uri": "file:///a/b.parquet",
        "format": "parquet",
        "rows": 3,
        "bytes": 120,
        "sampled": True,
    }
    artifact |= {
        "query_hash": "00000000000000aa",
        "expires_at": ts(86400 * 90),
        "legal_hold": False,
    }
    return [*rows, envelope("artifact", 40, 17, ada, **artifact)]


def second() -> list[dict[str, Any]]:
    """What is landed between the first build and the next: late, repeated, between, and one that
    changes an insight's standing.
    """
    ada, zoe, _ = CUSTOMERS
    return [
        event(50, -60, ada, feature_json={"question": "earlier than all"}),
        event(51, 0, ada, feature_json={"question": "a tie with two stored ones"}),
        event(2, 0, ada, feature_json={"question": "a repeated id with another text"}),
        event(52, 7200, zoe, feature_json={"question": "later"}),
        query_run(53, 20, ada, "00000000000000aa", [1251]),
        insight(54, 21, ada, 1300.5, "00000000000000aa"),
        insight(55, 11, ada, 1200, None),
        {**event(56, 1, ada), "unknown": 1},
        {**event(57, 1, ada), "v": 2},
        {**event(58, 1, ada), "feature_json": "no object"},
    ]


def lines(records: list[dict[str, Any]], source_file: str) -> list[LandedLine]:
    """With one line that was no record at all."""
    found = [
        LandedLine(
            record["id"],
            record["kind"],
            json.dumps(record, ensure_ascii=False, separators=(",", ":")),
            source_file,
            number * 1000,
        )
        for number, record in enumerate(records)
    ]
    torn = json.dumps({"raw": '{"v":1, torn', "reason": "not_json", "detail": "line 1"})
    return [
        *found,
        LandedLine(f"q-{len(records):032x}", "quarantine", torn, source_file, len(records) * 1000),
    ]
