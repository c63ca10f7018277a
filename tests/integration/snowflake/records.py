"""Landed lines that engines like to disagree about: ties, late rows, nulls, unicode, deep JSON,
huge integers, microseconds, refused lines."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import orjson

from cdesk.contract.records import proof_hash
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


def revision(number: int, known: dict[str, Any], revision_number: int, text: str) -> dict[str, Any]:
    """What was learnt of an activity that is landed."""
    return {
        **known,
        "kind": "revision",
        "id": uuid(number),
        "feature_json": {"question": text},
        "replaces": known["id"],
        "revision": revision_number,
    }


SQL = "select 'ä' where x = ?"


def params_of(asked: str) -> str:
    """Canonical parameters, with what JSON writers escape in different ways."""
    return orjson.dumps(
        {"asked": asked, "days": 7.0, "deep": {"a": [1, None]}, "text": 'ß / \u0001 " 😀'},
        option=orjson.OPT_SORT_KEYS,
    ).decode()


def hash_of(asked: str) -> str:
    return proof_hash(SQL, params_of(asked))


def query_run(
    number: int, seconds: float, customer: str, asked: str, values: list[Any], **fields: Any
) -> dict[str, Any]:
    own: dict[str, Any] = {
        "ticket_id": uuid(900 + number),
        "template": "activity_counts",
        "sql": SQL,
        "params": params_of(asked),
    }
    own |= {
        "query_hash": hash_of(asked),
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
        "evidence": [
            {
                "column": "activity_count",
                "basis": "system",
                "type": "number",
                "values": [json.dumps(v) for v in values],
            }
        ],
        "evidence_complete": True,
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


EDGES: list[Any] = [
    1764171812255, 1764171813255, 9007199254740993, 9007199254740992, 9007199250000000, "18446744073709551616",
    1e-13, 0, 0.0, -0.0, 1e17, 100000000000000001, 0.1 + 1e-12, 0.1001, "0.1", "1250", "1250.0", 1250.0, True,
]  # fmt: skip
"""What insights claim of the values of the run `aa`."""


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
        event(
            11,
            4000,
            ada,
            "cdesk.claude_responded",
            source_system="claude_code",
            feature_json={
                "model": "claude-sonnet-4-5-20250929",
                "project": "atlas",
                "input_tokens": 3,
                "output_tokens": 400,
                "cache_read_tokens": 90_000,
                "cache_creation_tokens": 1_200,
                "cache_creation_1h_tokens": 200,
                "latency_ms": 2_500.5,
            },
        ),
        event(
            12,
            4001,
            ada,
            "cdesk.tool_called",
            source_system="claude_code",
            feature_json={"tool": "list", "server": "github", "outcome": "error", "latency_ms": 7},
        ),
        event(
            13,
            4002,
            ada,
            "cdesk.file_written",
            source_system="cowork",
            feature_json={"file": "a.py", "kind": "py", "project": "atlas", "lines_added": 3},
        ),
        query_run(20, 10, ada, "aa", [1250, 0.1, 1764171812255, 2**64, 9007199254740993, 0, 1e17]),
        query_run(
            21,
            11,
            ada,
            "bb",
            [],
            status="failed",
            error_code="warehouse_error",
            as_of=None,
            evidence_complete=False,
        ),
        insight(30, 12, ada, 1250, hash_of("aa")),
        insight(31, 13, ada, 1251, hash_of("aa"), "other"),
        insight(32, 14, zoe, "ça va", None),
        *[
            insight(60 + place, 12, ada, value, hash_of("aa"), f"edge {place}")
            for place, value in enumerate(EDGES)
        ],
        insight(33, 15, zoe, None, hash_of("cc"), "void"),
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
        "query_hash": hash_of("aa"),
        "expires_at": ts(86400 * 90),
        "legal_hold": False,
    }
    early = revision(70, event(52, 7200, zoe), 1, "said before it is there")
    return [*rows, early, envelope("artifact", 40, 17, ada, **artifact)]


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
        query_run(53, 20, ada, "aa", [1251]),
        insight(54, 21, ada, 1300.5, hash_of("aa")),
        insight(55, 11, ada, 1200, None),
        revision(71, event(1, 0, ada), 2, "what counts of a stored one"),
        revision(72, event(1, 0, ada), 1, "what does not"),
        revision(73, event(5, 6, ada), 3, "about another's"),
        {**revision(74, event(5, 6, zoe), 3, "of no number"), "revision": "4"},
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
