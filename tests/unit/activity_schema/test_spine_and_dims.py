"""Time spines, dimension joins, and a stream under the specification's own column names."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.activity_schema import reference
from tests.unit.activity_schema.reference import RELATIONSHIPS, Append, Row, who
from tests.unit.activity_schema.rendering import ROOT, Renderer
from tests.unit.activity_schema.streams import (
    LAST_DAY,
    START,
    append_text,
    appends,
    comparable,
    create_stream,
    streams,
)

relaxed = settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def slow_down(stream: list[Row]) -> list[Row]:
    """A second becomes eight hours: some rows fall on the starts of days, some between them."""

    def slower(ts: datetime | None) -> datetime | None:
        return ts if ts in (None, LAST_DAY) else START + (ts - START) * 28_800

    return [{**row, "ts": slower(row["ts"]), "activity_repeated_at": None} for row in stream]


@pytest.mark.parametrize("relationship", RELATIONSHIPS)
@relaxed
@given(data=st.data(), stream=streams(), by=st.sampled_from([None, "a"]), days=st.integers(1, 3))
def test_a_time_spine_relates_each_customer_and_period_like_a_cohort(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    relationship: str,
    data: st.DataObject,
    stream: list[Row],
    by: str | None,
    days: int,
) -> None:
    """Rows are spread over two days: one day's spine ends before some of them."""
    stream = slow_down(stream)
    append: Append = data.draw(appends(relationship, conditions=False))
    create_stream(connection, stream)
    given_by = f", activity='{by}'" if by else ""
    spine = f"cdesk.time_spine('day', '2026-01-01', '2026-01-0{days + 1}'{given_by})"
    sql = render(
        f"{{{{ cdesk.dataset({spine}, [{append_text(append, 0)}], "
        "stream=cdesk.stream('stream')) }}"
    )
    first: dict[str, datetime] = {}
    for row in reference.in_order(stream):
        if who(row) is not None and by in (None, row["activity"]):
            first.setdefault(who(row), row["ts"])
    expected = []
    for customer, since in first.items():
        for day in range(days):
            start = START + timedelta(days=day)
            end = start + timedelta(days=1)
            if by is None or end > since:
                spine: Row = {
                    "customer": customer,
                    "anonymous_customer_id": None,
                    "ts": start,
                    "activity_repeated_at": end,
                    "previous": start - timedelta(days=1),
                    "spine": True,
                }
                expected.append([customer, start, *reference.appended(stream, spine, append)])
    got = connection.execute(sql).fetchall()
    assert comparable([row[1:] for row in got]) == comparable(expected)
    assert len({row[0] for row in got}) == len(got)


@pytest.fixture(scope="module")
def render_now(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    """Renders with a now of its own."""
    folder = tmp_path_factory.mktemp("render") / "now"
    return Renderer(folder, "duckdb", "{cdesk__now: '2025-07-01T12:00:00'}")


@pytest.mark.parametrize(
    ("period", "since", "until", "starts"),
    [
        ("week", "2026-01-01", "2026-01-19", ["2026-01-05", "2026-01-12"]),
        ("month", "2026-01-31 12:00:00", "2026-04-01", ["2026-02-01", "2026-03-01"]),
        ("quarter", "2025-11-01", "2026-04-02", ["2026-01-01", "2026-04-01"]),
        ("year", "2024-01-01", "2026-01-01", ["2024-01-01", "2025-01-01"]),
        ("hour", "2026-01-01 00:30:00", "2026-01-01 02:00:00", ["2026-01-01 01"]),
        ("month", "2026-01-02", "2026-01-03", []),
        ("month", "minimum", "2020-03-01", ["2020-01", "2020-02"]),
        ("day", "2020-02-01", "maximum", ["2020-02-01", "2020-02-02"]),
        ("month", "minimum", "maximum", ["2020-01", "2020-02"]),
        ("year", "2023-06-01", "now", ["2024", "2025"]),
    ],
)
def test_a_spine_has_the_starts_of_periods_from_since_until_before_until(
    render_now: Renderer,
    connection: duckdb.DuckDBPyConnection,
    period: str,
    since: str,
    until: str,
    starts: list[str],
) -> None:
    """The period of now, or of the maximum, is the last one."""
    two_visits(connection, "2020-01-01 05:00", "2020-02-02 10:00")
    spine = f"cdesk.time_spine('{period}', '{since}', '{until}')"
    found = spine_starts(render_now, connection, spine)
    assert [ts[: len(start)] for ts, start in zip(found, starts, strict=True)] == starts


def two_visits(connection: duckdb.DuckDBPyConnection, *instants: str) -> None:
    create_stream(connection, [])
    for number, instant in enumerate(instants):
        connection.execute(
            "insert into stream (activity_id, activity, customer, ts) values (?, 'a', 'ada', ?)",
            [str(number), instant],
        )


def spine_starts(render: Renderer, connection: duckdb.DuckDBPyConnection, spine: str) -> list[str]:
    sql = render(f"{{{{ cdesk.dataset({spine}, stream=cdesk.stream('stream')) }}}}")
    found = connection.execute(f"select ts from ({sql}) order by ts").fetchall()
    return [str(ts) for (ts,) in found]


def test_a_spine_counts_the_days_of_a_time_zone_and_the_hours_that_pass(
    render: Renderer, connection: duckdb.DuckDBPyConnection
) -> None:
    """Lisbon goes from UTC to UTC+1 in the night to 29 March 2026: that day has 23 hours."""
    two_visits(connection, "2026-03-28")
    zone = "time_zone='Europe/Lisbon'"
    days = f"cdesk.time_spine('day', '2026-03-28', '2026-03-31', {zone})"
    assert spine_starts(render, connection, days) == [
        "2026-03-28 00:00:00",
        "2026-03-29 00:00:00",
        "2026-03-29 23:00:00",
    ]
    hours = f"cdesk.time_spine('hour', '2026-03-29', '2026-03-30', {zone})"
    found = spine_starts(render, connection, hours)
    assert (found[0], found[-1], len(set(found))) == (
        "2026-03-29 00:00:00",
        "2026-03-29 22:00:00",
        23,
    )


def test_an_activity_at_midnight_belongs_to_the_day_that_begins(
    render: Renderer, connection: duckdb.DuckDBPyConnection
) -> None:
    two_visits(connection, "2026-01-01 00:00", "2026-01-02 00:00", "2026-01-02 10:00")
    spine = "cdesk.time_spine('day', '2026-01-01', '2026-01-03', columns=['ts', 'ends_at'])"
    sql = render(
        f"{{{{ cdesk.dataset({spine}, [cdesk.aggregate_in_between('a'), "
        "cdesk.aggregate_between_before('a')], stream=cdesk.stream('stream')) }}"
    )
    day = timedelta(days=1)
    assert connection.execute(f"select * from ({sql}) order by ts").fetchall() == [
        (START, START + day, 1, 0),
        (START + day, START + 2 * day, 2, 1),
    ]


def test_dimensions_add_columns_and_never_rows(
    render: Renderer, connection: duckdb.DuckDBPyConnection
) -> None:
    rows: list[tuple[Any, ...]] = [
        ("1", "bought", "ada", '{"product": "p1"}'),
        ("2", "bought", "bob", "{}"),
        ("3", "bought", None, "{}"),
    ]
    create_stream(connection, [])
    for identity, activity, customer, feature in rows:
        connection.execute(
            "insert into stream (activity_id, activity, customer, ts, feature_json) values (?, ?, ?, '2026-01-01', ?)",
            [identity, activity, customer, feature],
        )
    connection.execute(
        "create table customers as select * from "
        "(values ('ada', 'PT', 3), ('ada', 'ES', 2), (null, 'XX', 1)) as t (customer, country, seats)"
    )
    connection.execute("create table products as select 'p1' as id, 'Rubber duck' as name")
    sql = render(
        "{{ cdesk.dataset(cdesk.activity('bought', columns=['activity_id', 'customer', cdesk.feature('product')]), "
        "dims=[cdesk.customer_dim('customers', ['country', cdesk.column('seats', as='places')]), "
        "cdesk.dim('products', ['name'], on='product', prefix='product')], stream=cdesk.stream('stream')) }}"
    )
    got = connection.execute(sql).fetchall()
    assert sorted(got) == [
        ("1", "ada", "p1", "ES", 2, "Rubber duck"),
        ("2", "bob", None, None, None, None),
        ("3", None, None, None, None, None),
    ]


def test_metricflows_spine_has_each_day_from_2020_to_today(
    render: Renderer, connection: duckdb.DuckDBPyConnection
) -> None:
    model = ROOT / "models" / "semantic" / "metricflow_time_spine.sql"
    before = datetime.now(UTC).date()
    found = connection.execute(
        "select min(date_day), max(date_day), count(distinct date_day) - count(*), "
        f"count(*) from ({render(model.read_text(encoding='utf-8'))})"
    ).fetchone()
    assert found
    first, last, repeated, days = found
    assert first == date(2020, 1, 1)
    assert before <= last <= datetime.now(UTC).date()
    assert (repeated, days) == (0, (last - first).days + 1)


def test_an_amount_of_periods_is_one_term(render: Renderer) -> None:
    """Another project may bring a `dateadd` of its own that multiplies an interval by it."""
    sql = render("{{ cdesk.dataset(cdesk.time_spine('month'), stream=cdesk.stream('stream')) }}")
    terms = re.findall(r"([^_])number [+-] 1(.)", sql)
    assert len(terms) == 2
    assert set(terms) == {("(", ")")}
