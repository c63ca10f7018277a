"""What every model and every template says of one fixed stream, kept beside this file: of a model
the number of its rows and a digest of each column, of a template its rows. What is right, other
tests say; this one says that something has changed, and where.

The stream is drawn at random with a fixed seed, with ties, repetitions, conflicts, late and refused
lines, revisions, and keys that are missing or of another type. It lands in two parts, each with a
build, by a clock that stands still.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from snapshots import assert_kept

from tests.integration.dbt.conftest import (
    PROJECT,
    DbtWarehouse,
    Row,
    envelope,
    event,
    evidence,
    hash_of,
    insight,
    query_run,
)

KEPT = Path(__file__).parent / "kept"
NOW = datetime(2026, 3, 10, 9, 30)  # noqa: DTZ001  (the warehouse holds UTC without zone)
NOW_SQL = f"timestamp '{NOW}'"
CUSTOMERS = ("ada@example.com", "ada@example.com", "bob@example.com", "cy@example.com")
SOURCES = ("claude_desktop", "claude_desktop", "claude_code", "cowork", "claude_export")
MOST_ROWS = 5
"""Of an answer that are kept to be read; the digest beside them is of all."""
ASKED: dict[str, dict[str, Any]] = {
    "artifact": {"artifact_id": envelope("artifact", 4_001)["id"]},
    "expired_artifacts": {"uris": f",{','.join(f's3://bucket/{one}' for one in range(9))},"},
    "insight_history": {"subject": "sales", "metric": "count"},
    "provenance": {"query_hash": hash_of("q1")},
}
"""Where a template's own example finds nothing."""
TABLES = """
    select table_name from information_schema.tables
    where table_type = 'BASE TABLE' and table_name not in (
        'landing', 'template_versions', 'activity_vocabulary', 'activity_features', 'slo_targets',
        'model_prices', 'customer_access', 'legal_holds', 'erasures'
    )
"""
"""What is built from what has landed."""
TESTED_ELSEWHERE = ("first_*", "last_*", "nth_*", "aggregate_*")
"""Relationships: tests/unit/activity_schema."""
WORDS = {
    "model": ("claude-sonnet-4-5", "claude-3-5-haiku-20241022", "claude-opus-4-1", "unheard-of"),
    "project": ("atlas", "borealis"),
    "tool": ("Bash", "submit_query", "get_context", "log_event", "mcp__files__read"),
    "server": ("files", "cdesk"),
    "outcome": ("ok", "ok", "error"),
    "error_code": ("rate_limited", "overloaded", "interrupted"),
    "question": ("how much revenue by week?", "mail ada@example.com about it", "why"),
    "title": ("Revenue by week", "Plans"),
    "topic": ("revenue", "plans"),
    "status": ("succeeded", "failed"),
    "query_hash": ("a" * 16, "b" * 16),
    "ticket_id": ("t1", "t2", "t3"),
    "template": ("activity_counts", "sessions"),
    "kind": ("pdf", "py"),
    "path": ("/home/ada/a.py", "/home/ada/b.pdf"),
    "is_repeated": (None, None, None, True),
}


def declared_keys() -> dict[str, list[tuple[str, str]]]:
    """activity → its keys and their types."""
    found: dict[str, list[tuple[str, str]]] = {}
    with (PROJECT / "seeds/activity_features.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["activity"], []).append((row["key"], row["type"]))
    return found


def value(rng: random.Random, key: str, kind: str) -> Any:
    if key in WORDS:
        return rng.choice(WORDS[key])
    if rng.random() < 0.02:
        return "of another type"
    if kind == "integer":
        return rng.choice((0, 1, 12, 850, 190_000))
    if kind == "number":
        return round(rng.expovariate(1 / 400), 1)
    if kind == "boolean":
        return rng.random() < 0.5
    return f"{key} {rng.randrange(3)}"


def stream() -> list[dict[str, Any]]:
    """The records, in the order in which they land."""
    rng = random.Random(20260310)
    keys = declared_keys()
    records: list[dict[str, Any]] = []
    for number in range(1, 601):
        activity = rng.choice(list(keys))
        at = NOW - timedelta(days=rng.choice((40, 40, 130, 400)) * rng.random())
        at = at.replace(minute=rng.choice((0, 0, 7, 31)), second=0, microsecond=0)
        if rng.random() < 0.3:  # something to see within the day and the week
            at = NOW - timedelta(minutes=rng.randrange(6 * 24 * 60))
        features = {
            key: value(rng, key, kind) for key, kind in keys[activity] if rng.random() < 0.85
        }
        customer = rng.choice(CUSTOMERS)
        record = event(
            number,
            activity=activity,
            ts=at.isoformat(timespec="microseconds") + "Z",
            customer=customer,
            anonymous_customer_id=rng.choice((None, None, f"device of {customer}")),
            session_id=rng.choice((None, *(f"s{rng.randrange(6)}" for _ in range(4)))),
            query_tag=f"cdesk_{rng.randrange(9):08x}",
            feature_json={key: one for key, one in features.items() if one is not None},
            link=rng.choice((None, "https://example.com/a")),
            revenue_impact=rng.choice((None, None, 2.5, -1)),
            source_system=rng.choice(SOURCES),
        )
        records.append(record)
        if rng.random() < 0.05:
            records.append(record)
        if rng.random() < 0.03:
            records.append({**record, "link": "https://example.com/conflict"})
        if rng.random() < 0.03:
            records.append({**record, "v": 9, "id": record["id"].replace("0000-4", "0001-4", 1)})
    records += memory(rng)
    rng.shuffle(records)
    return records


def memory(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Runs, what was claimed of them, results, and what was forgotten."""
    for number in range(2_001, 2_031):
        at = NOW - timedelta(hours=rng.randrange(rng.choice((20, 130)) * 24))
        yield query_run(
            number,
            asked=f"q{number % 7}",
            ts=at.isoformat(timespec="microseconds") + "Z",
            status=rng.choice(("succeeded", "succeeded", "failed")),
            rows=rng.randrange(2_000),
            bytes=rng.randrange(90_000),
            sampled=rng.random() < 0.2,
            elapsed_ms=round(rng.expovariate(1 / 300), 1),
            evidence=evidence(rng.choice((41, 42, 42.5, "late", True))),
            evidence_complete=rng.random() < 0.9,
        )
    for number in range(3_001, 3_061):
        at = NOW - timedelta(hours=rng.randrange(20 * 24))
        yield insight(
            number,
            ts=at.isoformat(timespec="microseconds") + "Z",
            customer=rng.choice(CUSTOMERS),
            subject=rng.choice(("sales", "revenue", "team")),
            metric=rng.choice(("count", "mean")),
            value=rng.choice((41, 42, 42.5, "late", True, None)),
            provenance_query_hash=rng.choice((None, *(hash_of(f"q{one}") for one in range(7)))),
        )
    for number in range(6_001, 6_005):  # one session of four takes far more than the others
        yield event(
            number,
            activity="cdesk.claude_responded",
            ts=(NOW - timedelta(days=2, minutes=number)).isoformat(timespec="microseconds") + "Z",
            session_id=f"of atlas {number}",
            feature_json={
                "project": "atlas",
                "output_tokens": 40_000_000 if number == 6_001 else 10,
                "model": "claude-opus-4-1",
            },
            source_system="claude_code",
        )
    yield event(  # a window of use that begins with its first response, to the second
        6_005,
        activity="cdesk.claude_responded",
        ts=(NOW - timedelta(hours=20)).replace(minute=0).isoformat(timespec="microseconds") + "Z",
        feature_json={"output_tokens": 77, "model": "claude-opus-4-1"},
        source_system="claude_code",
    )
    for number in range(4_001, 4_013):
        yield envelope(
            "artifact",
            number,
            customer=CUSTOMERS[number % 2],
            ts=(NOW - timedelta(days=number % 12)).isoformat(timespec="microseconds") + "Z",
            uri=f"s3://bucket/{number % 9}",
            format="parquet",
            rows=rng.randrange(500),
            bytes=rng.randrange(9_000),
            sampled=number % 4 == 0,
            query_hash=hash_of(f"q{number % 7}"),
            expires_at=(NOW + timedelta(days=number % 5 - 2)).isoformat(timespec="microseconds")
            + "Z",
            legal_hold=number % 6 == 0,
        )
    for number in range(5_001, 5_005):
        yield event(
            number,
            activity="cdesk.insight_forgotten",
            ts=NOW.isoformat(timespec="microseconds") + "Z",
            feature_json={"insight_id": insight(3_000 + number % 50)["id"]},
        )


def text(one: object) -> object:
    """A value as it is kept: the same whatever the machine makes of the last digits."""
    if isinstance(one, float):
        return float(f"{one:.9g}")
    if isinstance(one, list | tuple):
        return [text(part) for part in one]
    if isinstance(one, dict):
        return {key: text(part) for key, part in one.items()}
    return one if isinstance(one, str | int | bool | None) else str(one)


def line(rows: Sequence[object]) -> str:
    return json.dumps(text(rows), ensure_ascii=False, sort_keys=True)


def digests(columns: Sequence[str], rows: Sequence[Row]) -> dict[str, str]:
    """Of each column's values, in the order of the rows as text."""
    ordered = sorted(rows, key=line)
    return {
        column: hashlib.sha256(line([row[at] for row in ordered]).encode()).hexdigest()[:12]
        for at, column in enumerate(columns)
    }


def still(sql: str) -> str:
    """With a clock that stands still."""
    return sql.replace("(now() at time zone 'UTC')", NOW_SQL)


Compiled = dict[str, Any]


@pytest.fixture(scope="module")
def compiled(shared_warehouse: DbtWarehouse) -> Compiled:
    """The views and templates by their names, compiled after both parts are landed and built."""
    shared_warehouse.empty()
    records = stream()
    moved = {"cdesk__now": NOW.isoformat()}
    for number, part in enumerate((records[:450], records[450:])):
        shared_warehouse.land(
            part,
            source_file=f"{number + 1:032x}-000001.ndjson",
            landed_at=NOW - timedelta(hours=3 - number),
        )
        shared_warehouse.build(variables=moved)
    results = shared_warehouse.dbt(
        *("compile", "--select", "config.materialized:view", "resource_type:analysis"),
        *("--exclude", *TESTED_ELSEWHERE),
        variables=moved,
    )
    return {result.node.name: result.node for result in results if result.node.compiled_code}


def binds_of(node: Any, *, is_analyst: bool, timezone: str) -> dict[str, Any]:
    meta = node.config.meta or node.meta
    given = {one["name"]: one.get("default") for one in meta.get("parameters") or []}
    who = {"customer": "ada@example.com", "is_analyst": is_analyst, "timezone": timezone}
    return {**given, **(meta.get("example") or {}), **ASKED.get(node.name, {}), **who}


@pytest.mark.snapshot
def test_every_model_holds_what_it_held(compiled: Compiled, shared_warehouse: DbtWarehouse) -> None:
    found = {}
    with shared_warehouse.connect() as connection:
        asked = {
            name: f'select * from "{name}"' for (name,) in connection.execute(TABLES).fetchall()
        }
        for name, node in compiled.items():
            if node.resource_type == "model":
                asked[name] = still(node.compiled_code)
        for name, sql in sorted(asked.items()):
            cursor = connection.execute(sql)
            columns = [one[0] for one in cursor.description or ()]
            rows = cursor.fetchall()
            found[name] = {"rows": len(rows), **digests(columns, rows)}
    assert_kept(KEPT / "models.json", json.dumps(found, indent=1) + "\n")
    empty = [name for name, one in found.items() if not one["rows"]]
    assert empty == [], "the stream has something for each"


@pytest.mark.snapshot
def test_every_template_answers_what_it_answered(
    compiled: Compiled, shared_warehouse: DbtWarehouse
) -> None:
    lines = []
    empty = []
    with shared_warehouse.connect() as connection:
        for name, node in sorted(compiled.items()):
            if node.resource_type != "analysis":
                continue
            sql = still(node.compiled_code)
            order = re.findall(r"\?/\*(\w+)\*/", sql)
            most = 0
            whose = [(False, "UTC"), (True, "America/New_York")]
            for is_analyst, timezone in whose if "is_analyst" in order else whose[1:]:
                binds = binds_of(node, is_analyst=is_analyst, timezone=timezone)
                rows = connection.execute(sql, [binds[one] for one in order]).fetchall()
                most = max(most, len(rows))
                who = "an analyst" if is_analyst else "ada"
                digest = hashlib.sha256(line(rows).encode()).hexdigest()[:12]
                lines.append(f"{name}, as {who}: {len(rows)} rows, {digest}")
                lines += [f"  {line(row)}" for row in rows[:MOST_ROWS]]
            empty += [name] * (not most)
    assert_kept(KEPT / "templates.txt", "\n".join(lines) + "\n")
    assert empty == [], "the stream has something for each"
