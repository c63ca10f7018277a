"""What every model and every template says of one fixed stream, kept beside this file: of a model
the number of its rows and a digest of each column, of a template its rows. What is right, other
tests say; this one says that something has changed, and where.

The stream is drawn at random with a fixed seed, with ties, repetitions, conflicts, late and refused
lines, revisions, and keys that are missing or of another type; beside it lies what edges.py has on
the edge of each condition. It lands in two parts, each with a build, by a clock that stands still,
and in a third that no build has taken yet.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
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
from tests.integration.dbt.edges import NOW, SPAN, WEEK, edges

KEPT = Path(__file__).parent / "kept"
NOW_SQL = f"timestamp '{NOW}'"
CUSTOMERS = ("ada@example.com", "ada@example.com", "bob@example.com", "cy@example.com")
SOURCES = ("claude_desktop", "claude_desktop", "claude_code", "cowork", "claude_export")
MOST_ROWS = 5
"""Of an answer that are kept to be read; the digest beside them is of all."""
SINCE, UNTIL = SPAN
STEPS = ["cdesk.session_started", "cdesk.user_asked", "cdesk.claude_responded"]
DAY = date(2026, 3, 10)
WEEKS = {"days_back": WEEK.days, "hours_back": 24 * WEEK.days}
"""The bounds on which the records of edges.py lie."""


def of(customer: str, **given: Any) -> dict[str, Any]:
    return {"customer": f"{customer}@example.com", **given}


ASKED: dict[str, list[dict[str, Any]]] = {
    "artifact": [of("ada", artifact_id=envelope("artifact", 4_001)["id"])],
    "expired_artifacts": [
        {"uris": f",{','.join(f's3://bucket/{one}' for one in range(9))},"},
        of("wim", uris=",s3://bucket/of wim,s3://bucket/of xia,"),
    ],
    "insight_history": [
        of("ada", subject="sales", metric="count"),
        of("wim", subject="edge", metric="third"),
    ],
    "insights": [of("ada"), of("wim", subject="edge"), of("wim", metric="second")],
    "provenance": [of("ada", query_hash=hash_of("q1")), of("wim", query_hash=hash_of("made"))],
    "query_costs": [of("wim", **WEEKS)],
    "token_usage": [
        *(
            of("gil", period=period, since=None, until=DAY)
            for period in ("hour", "week", "month", "session", "model", "project")
        ),
        of("gil", period="day", since=DAY - timedelta(days=1), until=DAY),
        of("gil", period="day", since=None, until=date(2024, 11, 3)),
    ],
    "usage_blocks": [of("dee", **WEEKS), of("gil", days_back=3_000)],
    "busiest_hours": [of("dee", **WEEKS), of("eve", days_back=30)],
    "conversations": [
        of("ida", order="latest", days_back=8),
        *(of("ida", order=order, **WEEKS) for order in ("longest", "costliest", "most_tools")),
        of("gil", order="costliest", **WEEKS),
    ],
    "models": [of("gil", days_back=3_000), of("dee", **WEEKS)],
    "projects": [of("gil", days_back=3_000), of("dee", **WEEKS)],
    "tools": [of("dee", **WEEKS)],
    "files_touched": [of("dee", **WEEKS), of("dee", days_back=30, limit=2)],
    "search_history": [
        of("hal", text="Revenue by week", **WEEKS),
        of("hal", text=" week", days_back=8),
        of("hal", text="a b c d e f g h i", **WEEKS),
        of("hal", text=" ", **WEEKS),
    ],
    "topics": [of("dee", **WEEKS), of("dee", days_back=8)],
    "errors_and_limits": [of("dee", **WEEKS), of("dee", days_back=8)],
    "streaks": [of("eve", days_back=30), of("una", **WEEKS), of("dee", **WEEKS)],
    "cache_savings": [of("gil", days_back=3_000), of("dee", **WEEKS)],
    "outliers": [of("gil", days_back=30), of("dee", **WEEKS)],
    "budget": [of("gil", day=10, week=50, month=150), of("eve", day=1, week=5, month=None)],
    "review": [
        of("gil", since=DAY - timedelta(days=1), until=DAY - timedelta(days=1)),
        of("ida", since=None, until=None),
        of("eve", since=DAY - WEEK, until=DAY - WEEK),
    ],
    "recent_activities": [
        of("val", hours_back=hours, limit=limit) for hours in (1, 2, 3) for limit in (50, 3)
    ],
    "activity_counts": [of("dee", **WEEKS), of("eve", **WEEKS), of("una", limit=2, **WEEKS)],
    "health": [of("ada"), of("dee"), of("wim"), of("nobody"), of("tom")],
    "imported_records": [of("dee"), of("ada")],
    "quarantined_lines": [
        {"reason": "id_conflict", "limit": 1_000},
        {"reason": "unknown_version", "limit": 3},
        {"quarantine_id": "none"},
        {"limit": 1_000},
    ],
    "activity_by_period": [
        of("eve", activity=f"cdesk.{activity}", period=period, **WEEKS)
        for period in ("hour", "day", "week", "month")
        for activity in ("user_asked", "card_ready")
    ],
    "sessions": [of("dee", **WEEKS), of("eve", **WEEKS), of("una", **WEEKS)],
    "llm_usage": [of("eve", period=period, **WEEKS) for period in ("hour", "day", "week", "month")],
    "tool_usage": [of("dee", **WEEKS), of("una", **WEEKS)],
    "feature_values": [of("eve", **WEEKS), of("dee", activity="cdesk.tool_called", key="tool")],
    "top_customers": [{**WEEKS, "limit": 1_000}, {**WEEKS, "limit": 2}],
    "data_fingerprint": [
        of(customer, everyone=everyone, named=named)
        for customer in ("ada", "wim")
        for everyone in (True, False)
        for named in (",", ",cdesk.tool_called,cdesk.session_started,")
    ],
    "funnel": [
        {"steps": STEPS, "within_days": 7, "since": SINCE, "until": UNTIL},
        {"steps": STEPS[::-1], "within_days": 100, "since": SINCE, "until": None},
        {"steps": STEPS, "within_days": 7, "since": datetime(2100, 1, 1)},  # noqa: DTZ001
        of("kim", steps=STEPS, within_days=7),
    ],
    "retention": [
        {"first_activity": STEPS[0], "return_activity": STEPS[1], "period": period, "periods": 60}
        for period in ("day", "week", "month")
    ]
    + [
        of("quy", first_activity=STEPS[1], return_activity=STEPS[1], period=period, periods=2)
        for period in ("day", "week", "month")
    ],
    "time_to_convert": [
        {"from": STEPS[0], "to": STEPS[1], "since": SINCE, "until": UNTIL},
        {"from": STEPS[1], "to": STEPS[2]},
        {"from": STEPS[0], "to": STEPS[1], "since": datetime(2100, 1, 1)},  # noqa: DTZ001
        of("kim", **{"from": STEPS[0], "to": STEPS[1]}),
    ],
    "paths": [
        {"start_activity": one, "depth": depth, "since": SINCE, "until": UNTIL, "limit": 1_000}
        for one in STEPS
        for depth in (2, 6)
    ],
}
"""What else is asked of a template than its own example, which is asked of ada."""
TABLES = """
    select table_name from information_schema.tables
    where table_type = 'BASE TABLE' and table_name not in (
        'landing', 'template_versions', 'activity_vocabulary', 'activity_features', 'slo_targets',
        'model_prices', 'customer_access', 'legal_holds', 'erasures', 'rows_of_events_live'
    )
"""
"""What is built from what has landed."""
TESTED_ELSEWHERE = ("first_", "last_", "nth_", "aggregate_")
"""How relationships begin: tests/unit/activity_schema."""
TEMPLATES = sorted(
    path.stem
    for path in (PROJECT / "analyses/safesql").glob("*.sql")
    if not path.stem.startswith(TESTED_ELSEWHERE)
)
UNORDERED = ("imported_records",)
"""Two lines that a loader wrote to one place come in any order."""
BUILT = "kept_answers.duckdb"
MOVED = {"cdesk__now": NOW.isoformat()}
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


LIVE, ROWS_OF_LIVE = '"activities"."events_live"', '"activities"."rows_of_events_live"'
Compiled = dict[str, Any]


def parts() -> tuple[list[dict[str, Any]], ...]:
    """What lands with the first build, with the second, and after it."""
    drawn, designed = stream(), edges()
    waiting = [record for record in drawn[-90:] if record["kind"] == "event"]
    built = [record for record in drawn if record not in waiting]
    first, second, last = (designed[place::3] for place in range(3))
    # what a run and an insight say waits for a build, and so does who asks for long ago
    late = [one for one in last if one["kind"] in ("event", "revision") and one["ts"] >= "2026"]
    second += [record for record in last if record not in late]
    last = late
    return built[:450] + first, built[450:] + second, waiting + last


def land(warehouse: DbtWarehouse, number: int, part: list[dict[str, Any]]) -> None:
    """One part, from two files at one instant. Some of its lines come again: from the other file,
    from a third with other content, and by a loader that repeats a place, with other content too.
    """
    at = NOW - timedelta(hours=3 - number)
    first, second, third = (f"{number + 1:032x}-00000{file}.ndjson" for file in (1, 2, 3))
    half = len(part) // 2
    again = [
        {**record, "link": "https://example.com/other"} if record["kind"] == "event" else record
        for record in part[:40]
    ]
    warehouse.land(part[:half], source_file=first, landed_at=at)
    warehouse.land([*part[half:], *part[40:60]], source_file=second, landed_at=at)
    warehouse.land(again, source_file=first, landed_at=at)
    warehouse.land(again[::-1], source_file=third, landed_at=at)


def build(warehouse: DbtWarehouse) -> None:
    """Two parts are built, the third has landed."""
    warehouse.empty()
    for number, part in enumerate(parts()):
        land(warehouse, number, part)
        if number < 2:
            warehouse.build(variables=MOVED)


@pytest.fixture(scope="module")
def built(shared_warehouse: DbtWarehouse, tmp_path_factory: pytest.TempPathFactory) -> DbtWarehouse:
    """The warehouse after both builds. Its file is kept beside the first round, where `make mutants`
    takes it from and puts it back for mutants that no build reads.
    """
    file, made = shared_warehouse.home / "warehouse.duckdb", tmp_path_factory.getbasetemp() / BUILT
    if made.exists():
        shutil.copy(made, file)
    else:
        build(shared_warehouse)
        with shared_warehouse.connect() as connection:
            connection.execute("checkpoint").fetchall()  # dbt keeps the file, and its log, open
        shutil.copy(file, made)
    return shared_warehouse


@pytest.fixture(scope="module")
def compiled(built: DbtWarehouse, request: pytest.FixtureRequest) -> Compiled:
    """The views and templates that tests of this run ask for, by their names."""
    own = [item for item in request.session.items if item.path == request.path]
    names = [item.callspec.params["name"] for item in own if hasattr(item, "callspec")]
    views = ["config.materialized:view"] if len(names) < len(own) else []
    results = built.dbt("compile", "--select", *views, *names, variables=MOVED)
    return {result.node.name: result.node for result in results if result.node.compiled_code}


@pytest.fixture(scope="module")
def asked(built: DbtWarehouse) -> Iterator[DbtWarehouse]:
    """The warehouse with what `events_live` shows in a table: nothing lands here, and DuckDB plans
    the view anew for each question, which takes ten times as long as the answer.
    """
    with built.connect() as connection:
        connection.execute(f"create or replace table {ROWS_OF_LIVE} as select * from {LIVE}")
    yield built
    with built.connect() as connection:
        connection.execute(f"drop table {ROWS_OF_LIVE}")


def asks(node: Any) -> list[dict[str, Any]]:
    """What a template is asked: all that it binds, each time."""
    meta = node.config.meta or node.meta
    given = {one["name"]: one.get("default") for one in meta.get("parameters") or []}
    ada = {"customer": "ada@example.com", "is_analyst": False, "timezone": "UTC"}
    analyst = {"is_analyst": True, "timezone": "America/New_York"}
    example = meta.get("example") or {}
    asked = [{**given, **ada, **example, **one} for one in ({}, *ASKED.get(node.name, ()))]
    bound = set(binds(node))
    if "is_analyst" in bound:
        return [{**one, **who} for one in asked for who in ({}, analyst)]
    return [{**one, **analyst} for one in asked]


def binds(node: Any) -> list[str]:
    """The names of what a template binds, in the order of its question marks."""
    return re.findall(r"\?/\*(\w+)\*/", node.compiled_code)


@pytest.mark.snapshot
def test_every_model_holds_what_it_held(built: DbtWarehouse, compiled: Compiled) -> None:
    found = {}
    with built.connect() as connection:
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
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_answers_what_it_answered(
    name: str, asked: DbtWarehouse, compiled: Compiled
) -> None:
    node = compiled[name]
    sql, order = still(node.compiled_code).replace(LIVE, ROWS_OF_LIVE), binds(node)
    lines = []
    most = 0
    with asked.connect() as connection:
        for given in asks(node):
            rows = connection.execute(sql, [given[one] for one in order]).fetchall()
            if name in UNORDERED:
                rows.sort(key=line)
            most = max(most, len(rows))
            digest = hashlib.sha256(line(rows).encode()).hexdigest()[:12]
            who = "an analyst" if given["is_analyst"] else "a user"
            said = ", ".join(f"{one}={given[one]}" for one in dict.fromkeys(order))
            lines.append(f"as {who}, {said}: {len(rows)} rows, {digest}")
            lines += [f"  {line(row)}" for row in rows[:MOST_ROWS]]
    assert_kept(KEPT / "templates" / f"{name}.txt", "\n".join(lines) + "\n")
    assert most > 0, "the stream has something for each"


def test_each_kept_answer_is_of_a_template() -> None:
    assert sorted(path.stem for path in (KEPT / "templates").iterdir()) == TEMPLATES


# -- worked out from the records, another way


def of_edges(customer: str, *activities: str) -> list[tuple[datetime, str, dict[str, Any]]]:
    """(ts, activity, record) of what edges.py has of a customer, by time."""
    found = [one for one in edges() if one["customer"] == f"{customer}@example.com"]
    return sorted(
        (
            (datetime.fromisoformat(one["ts"][:-1]), one["activity"], one)
            for one in found
            if one["kind"] == "event" and (not activities or one["activity"] in activities)
        ),
        key=lambda one: one[:2],
    )


def windows_of_use() -> list[Row]:
    """(begin, whether it is open, output tokens): hour by hour, not from row to row."""
    used = [
        (ts, record["feature_json"]["output_tokens"])
        for ts, _, record in of_edges("dee", "cdesk.claude_responded")
        if ts >= NOW - WEEK
    ]
    found = []
    hour, end = NOW - WEEK, NOW - WEEK
    while hour <= NOW:
        if hour >= end and any(hour <= ts < hour + timedelta(hours=1) for ts, _ in used):
            end = hour + timedelta(hours=5)
            found.append((hour, end > NOW, sum(n for ts, n in used if hour <= ts < end)))
        hour += timedelta(hours=1)
    return found[::-1]


def steps_reached() -> list[Row]:
    """(step, how many): each customer walked through by hand."""
    counts = [0, 0, 0]
    for customer in ("kim", "lea", "max", "noa", "oli", "pam"):
        own = of_edges(customer)
        starts = [ts for ts, activity, _ in own if activity == STEPS[0] and SINCE <= ts < UNTIL]
        at = start = min(starts, default=None)
        for place, step in enumerate(STEPS):
            if place and at is not None and start is not None:
                after = [ts for ts, activity, _ in own if activity == step and ts > at]
                at = min(after, default=None)
                if at is not None and at > start + WEEK:
                    at = None
            counts[place] += at is not None
    return [(place + 1, count) for place, count in enumerate(counts)]


def counts_of_a_week() -> list[Row]:
    own = [activity for ts, activity, _ in of_edges("dee") if ts >= NOW - WEEK]
    return sorted(((one, own.count(one)) for one in set(own)), key=lambda one: (-one[1], one[0]))


@pytest.mark.parametrize(
    ("name", "asked", "columns", "expected"),
    [
        (
            "usage_blocks",
            of("dee", **WEEKS),
            ("block_start", "is_open", "output_tokens"),
            windows_of_use,
        ),
        (
            "funnel",
            {**of("ada"), **ASKED["funnel"][0], "is_analyst": True},
            ("step", "reached"),
            steps_reached,
        ),
        ("activity_counts", of("dee", **WEEKS), ("activity", "activity_count"), counts_of_a_week),
    ],
)
def test_an_answer_is_what_the_records_say(
    name: str,
    asked: dict[str, Any],
    columns: tuple[str, ...],
    expected: Callable[[], list[Row]],
    built: DbtWarehouse,
    compiled: Compiled,
) -> None:
    node = compiled[name]
    given = {**asks(node)[0], **asked}
    with built.connect() as connection:
        cursor = connection.execute(still(node.compiled_code), [given[one] for one in binds(node)])
        names = [one[0] for one in cursor.description or ()]
        rows = [tuple(row[names.index(one)] for one in columns) for row in cursor.fetchall()]
    assert rows == expected()
