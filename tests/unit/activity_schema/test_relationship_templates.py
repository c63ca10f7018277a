"""The SafeSQL templates of the relationships, on random streams, against plain Python."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.activity_schema import reference
from tests.unit.activity_schema.reference import (
    TEMPLATES,
    Activity,
    Aggregate,
    Append,
    Row,
    Value,
    Within,
    in_order,
)
from tests.unit.activity_schema.rendering import Renderer
from tests.unit.activity_schema.streams import COLUMNS, START, comparable, create_events, streams

relaxed = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
COHORT = [Value("activity_id"), Value("customer"), Value("ts"), Value("activity_occurrence")]
PICKED = tuple(
    Value(name) for name in ("activity_id", "ts", "revenue_impact", "link", "feature_json")
)
AGGREGATED = (
    Aggregate("count"),
    Aggregate("sum", Value("revenue_impact")),
    Aggregate("min", Value("ts")),
    Aggregate("max", Value("ts")),
)
ONE = Value("source_system")
activities = st.sampled_from(["a", "b", "c", "never"])
instants = st.one_of(
    st.none(), st.integers(0, 7).map(lambda seconds: START + timedelta(seconds=seconds))
)
callers = st.sampled_from([("ada", True), ("ada", False), ("it's", False), ("nobody", False)])


def run(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    name: str,
    caller: tuple[str, bool],
    **given: Any,
) -> list[list[Any]]:
    sql, binds = render.template(name)
    identity = {"customer": caller[0], "is_analyst": caller[1]}
    values = {**identity, "since": None, "until": None, "timezone": "UTC", **given}
    bound = [
        value.isoformat() + "+00:00" if isinstance(value := values[bind], datetime) else value
        for bind in binds
    ]
    return [list(row) for row in connection.execute(sql, bound).fetchall()]


def visible(stream: Sequence[Row], caller: tuple[str, bool]) -> list[Row]:
    return [row for row in stream if caller[1] or row["customer"] == caller[0]]


def inside(instant: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or instant >= since) and (until is None or instant < until)


def newest_first(rows: list[Row]) -> list[Row]:
    """By ts from the latest on, then by customer (none last), then by id from the last on."""
    found = sorted(rows, key=lambda row: str(row["activity_id"]), reverse=True)
    found.sort(key=lambda row: (row["customer"] is None, row["customer"] or ""))
    return sorted(found, key=lambda row: START if row["ts"] is None else row["ts"], reverse=True)


@pytest.mark.parametrize("relationship", TEMPLATES)
@relaxed
@given(
    stream=streams(anonymous=False, timeless=False),
    cohort=activities,
    append=activities,
    occurrence=st.sampled_from(["all", "first", "last", "nth"]),
    nth=st.integers(1, 3),
    append_nth=st.one_of(st.none(), st.integers(1, 3)),
    entity=st.sampled_from(["customer", "customer", "session", "project", "source_system"]),
    within=st.one_of(st.none(), st.integers(0, 4)),
    same_instant=st.booleans(),
    since=instants,
    until=instants,
    caller=callers,
)
def test_a_relationship_template_answers_as_defined_and_in_order(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    relationship: str,
    stream: list[Row],
    cohort: str,
    append: str,
    occurrence: str,
    nth: int,
    append_nth: int | None,
    entity: str,
    within: int | None,
    same_instant: bool,
    since: datetime | None,
    until: datetime | None,
    caller: tuple[str, bool],
) -> None:
    stream = [
        {**row, "feature_json": {**row["feature_json"], "project": row["feature_json"].get("s")}}
        for row in stream
    ]
    create_events(connection, stream)
    got = run(
        render, connection, relationship, caller,
        cohort_activity=cohort, append_activity=append, cohort_occurrence=occurrence, nth=nth, append_nth=append_nth,
        entity=entity, since=since, until=until, same_instant=same_instant,
        within_days=None if within is None else within / 86_400,
    )  # fmt: skip
    aggregated = relationship.startswith("aggregate_")
    if not aggregated:
        got = [
            [*row[:-1], row[-1] and json.dumps(json.loads(row[-1]), sort_keys=True)] for row in got
        ]
    seen = [{**row, ONE.name: "claude_desktop"} for row in visible(stream, caller)]
    which = (append_nth or nth) if relationship.startswith("nth_") else None
    by = {
        "session": Value("link"),
        "project": Value("project", "string"),
        "source_system": ONE,
    }.get(entity)
    meant = re.sub("_(before|after)$", r"_at_or_\1", relationship) if same_instant else relationship
    if "between" in relationship:
        meant = relationship
    limits = () if within is None else (Within(within),)
    columns = AGGREGATED if aggregated else PICKED
    asked = Append(meant, Activity(append), columns, which, limits)
    chosen = [
        row
        for row in reference.cohort_rows(seen, Activity(cohort, occurrence, nth), by)
        if inside(row["ts"], since, until)
    ]
    expected = [
        [column.of(row) for column in COHORT] + reference.appended(seen, row, asked, by)
        for row in newest_first(chosen)
    ]
    if not aggregated:
        expected = [
            [*row[:-1], None if row[-1] is None else json.dumps(row[-1], sort_keys=True)]
            for row in expected
        ]
    assert [row[:3] for row in got] == [row[:3] for row in expected]
    assert comparable(got) == comparable(expected)


@pytest.mark.parametrize(
    ("relationship", "same_instant", "days", "found"),
    [
        ("aggregate_after", False, None, 2),
        ("aggregate_after", True, None, 3),
        ("aggregate_after", False, 1.0, 1),
        ("aggregate_after", True, 0.5, 1),
        ("aggregate_before", False, None, 1),
        ("aggregate_before", True, None, 2),
        ("aggregate_before", True, 1.5, 1),
        ("aggregate_all_ever", False, 2.0, 3),
        ("first_after", False, None, START + timedelta(days=1)),
        ("first_after", True, None, START),
        ("last_after", False, 1.0, START + timedelta(days=1)),
        ("first_before", False, 1.0, None),
        ("last_before", False, 2.0, START - timedelta(days=2)),
        ("last_before", True, 0.0, START),
    ],
)
def test_a_distance_holds_its_limit_and_the_same_instant_counts_where_asked(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    relationship: str,
    same_instant: bool,
    days: float | None,
    found: Any,
) -> None:
    """Asked of one row, with others two days before, at its instant, and one and three days after."""
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"customer": "ada", "feature_json": {}}
    rows = [{**row, "activity": "a", "ts": START, "activity_id": "0"}]
    rows += [
        {**row, "activity": "b", "ts": START + timedelta(days=day), "activity_id": f"{day}"}
        for day in (-2, 0, 1, 3)
    ]
    create_events(connection, rows)
    [answer] = run(
        render, connection, relationship, ("ada", False), cohort_activity="a",
        append_activity="b", cohort_occurrence="all", nth=1, append_nth=None, entity="customer",
        same_instant=same_instant, within_days=days,
    )  # fmt: skip
    assert answer[4 if relationship.startswith("aggregate") else 5] == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ["a3", "a2", "a1", "b1", "a0"]),
        ({"cohort_occurrence": "first"}, ["b1", "a0"]),
        ({"cohort_occurrence": "last"}, ["a3", "b1"]),
        ({"cohort_occurrence": "nth", "nth": 1}, ["b1", "a0"]),
        ({"cohort_occurrence": "nth", "nth": 3}, ["a2"]),
        ({"cohort_occurrence": "nth", "nth": 5}, []),
        ({"since": 1}, ["a3", "a2", "a1", "b1"]),
        ({"until": 2}, ["a1", "b1", "a0"]),
        ({"since": 1, "until": 2}, ["a1", "b1"]),
        ({"cohort_occurrence": "first", "since": 1}, ["b1"]),
    ],
)
def test_a_template_asks_about_the_occurrences_of_the_span(
    render: Renderer, connection: duckdb.DuckDBPyConnection, given: dict[str, Any], found: list[str]
) -> None:
    row: Row = {**dict.fromkeys(COLUMNS), "feature_json": {}, "activity": "a"}
    stream = [
        {
            **row,
            "customer": name[0],
            "ts": START + timedelta(days=int(name[1])),
            "activity_id": name,
        }
        for name in ("a0", "a1", "a2", "a3", "b1")
    ]
    create_events(connection, reference.occurrences(stream, Activity("a")))
    for bound in ("since", "until"):
        if bound in given:
            given = {**given, bound: START + timedelta(days=given[bound])}
    own: dict[str, Any] = {"cohort_occurrence": "all", "nth": 1, **given}
    answer = run(
        render, connection, "first_after", ("a", True), cohort_activity="a", append_activity="b",
        append_nth=None, entity="customer", same_instant=False, within_days=None, **own,
    )  # fmt: skip
    assert [one[0] for one in answer] == found


@relaxed
@given(
    stream=streams(anonymous=False, timeless=False),
    steps=st.lists(activities, min_size=2, max_size=8),
    days=st.integers(1, 4),
    since=instants,
    until=instants,
    caller=callers,
)
def test_the_funnel_follows_each_customer_step_by_step(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    stream: list[Row],
    steps: list[str],
    days: int,
    since: datetime | None,
    until: datetime | None,
    caller: tuple[str, bool],
) -> None:
    # A second of the stream is a day here, so that `within_days` cuts.
    stream = [{**row, "ts": START + (row["ts"] - START) * 86_400} for row in stream]
    stream = [
        row
        for name in {row["activity"] for row in stream}
        for row in reference.occurrences(stream, Activity(name))
    ]
    create_events(connection, stream)
    since, until = (at and START + (at - START) * 86_400 for at in (since, until))
    got = run(
        render,
        connection,
        "funnel",
        caller,
        steps=steps,
        within_days=days,
        since=since,
        until=until,
    )
    seen = in_order(row for row in visible(stream, caller) if row["customer"] is not None)
    starts: dict[str, datetime] = {}
    for row in seen:
        if row["activity"] == steps[0] and inside(row["ts"], since, until):
            starts.setdefault(row["customer"], row["ts"])
    at, expected, first = dict(starts), [], len(starts)
    before = None
    seconds: list[float] = []
    for number, step in enumerate(steps, start=1):
        if number > 1:
            following: dict[str, datetime] = {}
            for row in seen:
                who = row["customer"]
                if (
                    row["activity"] == step
                    and who in at
                    and row["ts"] > at[who]
                    and who not in following
                ):
                    following[who] = row["ts"]
            following = {
                who: ts for who, ts in following.items() if ts <= starts[who] + timedelta(days=days)
            }
            seconds = [(ts - at[who]).total_seconds() for who, ts in following.items()]
            at = following
        median = statistics.median(seconds) if seconds else None
        expected.append(
            [
                number,
                step,
                len(at),
                before and len(at) / before,
                (len(at) / first) if first else None,
                median,
            ]
        )
        if before == 0:
            expected[-1][3] = None
        before = len(at)
    assert [row[:2] for row in got] == [row[:2] for row in expected]
    assert comparable([row[2:] for row in got]) == comparable([row[2:] for row in expected])


def one_after_the_other(activities: str, *, hours: int) -> list[Row]:
    """One customer's stream: each letter an activity, so many hours after the one before."""
    row: Row = {
        "customer": "ada",
        "anonymous_customer_id": None,
        "revenue_impact": None,
        "link": None,
        "feature_json": {},
        "activity_occurrence": 1,
        "activity_repeated_at": None,
    }
    return [
        {
            **row,
            "activity": name,
            "activity_id": name,
            "ts": START + timedelta(hours=hours * number),
        }
        for number, name in enumerate(activities)
    ]


@pytest.mark.parametrize(("days", "reached"), [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1])])
def test_the_funnels_window_runs_from_the_first_step(
    render: Renderer, connection: duckdb.DuckDBPyConnection, days: int, reached: list[int]
) -> None:
    """A step a day and a half: the third is within two days of the second, and too late."""
    create_events(connection, one_after_the_other("abc", hours=36))
    steps = list("abc")
    got = run(render, connection, "funnel", ("ada", False), steps=steps, within_days=days)
    assert [one[2] for one in got] == reached


@pytest.mark.parametrize("depth", [1, 2, 6])
def test_a_path_is_as_long_as_its_depth(
    render: Renderer, connection: duckdb.DuckDBPyConnection, depth: int
) -> None:
    create_events(connection, one_after_the_other("abcdefgh", hours=1))
    ((start, *steps, count, customers, share),) = run(
        render, connection, "paths", ("ada", False), start_activity="a", depth=depth, limit=5
    )
    assert (start, count, customers, share) == ("a", 1, 1, 1.0)
    assert steps == [*"bcdefg"[:depth], *[None] * (6 - depth)]


@relaxed
@given(
    stream=streams(anonymous=False, timeless=False),
    first=activities,
    back=activities,
    period=st.sampled_from(["day", "week", "month"]),
    periods=st.integers(1, 9),
    caller=callers,
)
def test_retention_counts_each_returning_customer_once_a_period(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    stream: list[Row],
    first: str,
    back: str,
    period: str,
    periods: int,
    caller: tuple[str, bool],
) -> None:
    stream = [
        {**row, "ts": START + timedelta(days=9.5) * (row["ts"] - START).seconds} for row in stream
    ]
    create_events(connection, stream)
    got = run(
        render,
        connection,
        "retention",
        caller,
        first_activity=first,
        return_activity=back,
        period=period,
        periods=periods,
    )

    def start(ts: datetime) -> datetime:
        day = ts.replace(hour=0, minute=0, second=0)
        return {
            "day": day,
            "week": day - timedelta(days=day.weekday()),
            "month": day.replace(day=1),
        }[period]

    def distance(earlier: datetime, later: datetime) -> int:
        if period == "month":
            return (later.year - earlier.year) * 12 + later.month - earlier.month
        return (later - earlier).days // (7 if period == "week" else 1)

    seen = in_order(row for row in visible(stream, caller) if row["customer"] is not None)
    firsts: dict[str, datetime] = {}
    for row in seen:
        if row["activity"] == first:
            firsts.setdefault(row["customer"], row["ts"])
    sizes = Counter(start(ts) for ts in firsts.values())
    returns = {
        (who, distance(start(firsts[who]), start(row["ts"])))
        for row in seen
        if row["activity"] == back
        and (who := row["customer"]) in firsts
        and row["ts"] > firsts[who]
    }
    expected = []
    for cohort, size in sorted(sizes.items(), reverse=True):
        for index in range(periods + 1):
            returned = sum(1 for who, at in returns if at == index and start(firsts[who]) == cohort)
            expected.append([cohort, size, index, returned, returned / size])
    assert [
        [str(value)[:10] if i == 0 else value for i, value in enumerate(row)] for row in got
    ] == [
        [str(value)[:10] if i == 0 else pytest.approx(value) for i, value in enumerate(row)]
        for row in expected
    ]


@relaxed
@given(
    stream=streams(anonymous=False, timeless=False),
    start=activities,
    end=activities,
    since=instants,
    until=instants,
    caller=callers,
)
def test_time_to_convert_runs_from_the_first_time_to_the_next_conversion(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    stream: list[Row],
    start: str,
    end: str,
    since: datetime | None,
    until: datetime | None,
    caller: tuple[str, bool],
) -> None:
    create_events(connection, stream)
    [got] = run(
        render,
        connection,
        "time_to_convert",
        caller,
        since=since,
        until=until,
        **{"from": start, "to": end},
    )
    seen = [row for row in visible(stream, caller) if row["customer"] is not None]
    firsts = [
        row
        for row in reference.cohort_rows(seen, Activity(start, "first"))
        if inside(row["ts"], since, until)
    ]
    after = Append("first_after", Activity(end), (Value("ts"),))
    seconds = sorted(
        (ts - row["ts"]).total_seconds()
        for row in firsts
        if (ts := reference.appended(seen, row, after)[0]) is not None
    )

    def percentile(share: float) -> float:
        position = share * (len(seconds) - 1)
        low = int(position)
        return seconds[low] + (seconds[min(low + 1, len(seconds) - 1)] - seconds[low]) * (
            position - low
        )

    expected: list[Any] = [
        len(firsts),
        len(seconds),
        len(seconds) / len(firsts) if firsts else None,
    ]
    if seconds:
        middle = [percentile(share) for share in (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)]
        expected += [seconds[0], *middle, seconds[-1]]
    else:
        expected += [None] * 9
    assert comparable([got]) == comparable([expected])


@relaxed
@given(
    stream=streams(anonymous=False, timeless=False),
    start=activities,
    depth=st.integers(1, 6),
    limit=st.integers(1, 5),
    since=instants,
    until=instants,
    caller=callers,
)
def test_paths_are_the_next_activities_most_frequent_first(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    stream: list[Row],
    start: str,
    depth: int,
    limit: int,
    since: datetime | None,
    until: datetime | None,
    caller: tuple[str, bool],
) -> None:
    create_events(connection, stream)
    got = run(
        render,
        connection,
        "paths",
        caller,
        start_activity=start,
        depth=depth,
        limit=limit,
        since=since,
        until=until,
    )
    seen = in_order(row for row in visible(stream, caller) if row["customer"] is not None)
    found: dict[tuple[str | None, ...], list[str]] = {}
    for index, row in enumerate(seen):
        if row["activity"] == start and inside(row["ts"], since, until):
            after = [
                other["activity"]
                for other in seen[index + 1 :]
                if other["customer"] == row["customer"]
            ][:depth]
            path = (*after, *[None] * (6 - len(after)))
            found.setdefault(path, []).append(row["customer"])
    total = sum(len(customers) for customers in found.values())
    expected = [
        [start, *path, len(customers), len(set(customers)), pytest.approx(len(customers) / total)]
        for path, customers in sorted(
            found.items(),
            key=lambda item: (-len(item[1]), [(step is not None, step or "") for step in item[0]]),
        )
    ]
    assert got == expected[:limit]
