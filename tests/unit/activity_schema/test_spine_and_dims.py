"""Time spines, dimension joins, and a stream under the specification's own column names."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.activity_schema import reference
from tests.unit.activity_schema.reference import RELATIONSHIPS, Append, Row, who
from tests.unit.activity_schema.rendering import Renderer
from tests.unit.activity_schema.streams import (
    START,
    append_text,
    appends,
    comparable,
    create_stream,
    streams,
)

relaxed = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def slow_down(stream: list[Row]) -> list[Row]:
    """A second becomes eight hours, so that half of the rows fall into days' midst and some on
    their starts.
    """
    return [
        {**row, "ts": START + (row["ts"] - START) * 28_800, "activity_repeated_at": None}
        for row in stream
    ]


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
    sql = render(
        f"{{{{ cdesk.dataset(cdesk.time_spine('day', '2026-01-01', '2026-01-0{days + 1}'{given_by}), [{append_text(append, 0)}], "
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
                }
                expected.append([customer, start, *reference.appended(stream, spine, append)])
    got = connection.execute(sql).fetchall()
    assert comparable([row[1:] for row in got]) == comparable(expected)
    assert len({row[0] for row in got}) == len(got)


@pytest.mark.parametrize(
    ("period", "since", "until", "starts"),
    [
        ("week", "2026-01-01", "2026-01-19", ["2026-01-05", "2026-01-12"]),
        ("month", "2026-01-31 12:00:00", "2026-04-01", ["2026-02-01", "2026-03-01"]),
        ("quarter", "2025-11-01", "2026-04-02", ["2026-01-01", "2026-04-01"]),
        ("year", "2024-01-01", "2026-01-01", ["2024-01-01", "2025-01-01"]),
        ("hour", "2026-01-01 00:30:00", "2026-01-01 02:00:00", ["2026-01-01 01"]),
    ],
)
def test_a_spine_has_the_starts_of_periods_from_since_until_before_until(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    period: str,
    since: str,
    until: str,
    starts: list[str],
) -> None:
    create_stream(connection, [])
    connection.execute(
        "insert into stream (activity_id, activity, customer, ts) values ('1', 'a', 'ada', '2020-01-01')"
    )
    sql = render(
        f"{{{{ cdesk.dataset(cdesk.time_spine('{period}', '{since}', '{until}'), stream=cdesk.stream('stream')) }}}}"
    )
    got = [
        str(row[0]) for row in connection.execute(f"select ts from ({sql}) order by ts").fetchall()
    ]
    assert [text[: len(start)] for text, start in zip(got, starts, strict=True)] == starts


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
