"""Identity resolution, on random streams against its definition."""

from __future__ import annotations

from datetime import datetime

import duckdb
from hypothesis import HealthCheck, given, settings

from tests.unit.activity_schema.reference import Row, in_order
from tests.unit.activity_schema.rendering import Renderer
from tests.unit.activity_schema.streams import comparable, create_stream, streams


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(stream=streams())
def test_an_anonymous_row_gets_the_customer_of_the_next_later_row_that_names_both(
    render: Renderer, connection: duckdb.DuckDBPyConnection, stream: list[Row]
) -> None:
    create_stream(connection, stream)
    declared = "{'occurrence': {'column': 'activity_occurrence', 'type': 'integer'}}"
    sql = render(f"{{{{ cdesk.stitch(cdesk.stream('stream', {declared})) }}}}")
    names = "activity_id, ts, customer, activity, anonymous_customer_id, occurrence"
    got = connection.execute(f"select {names} from ({sql})").fetchall()
    expected = []
    for row in stream:
        customer = row["customer"]
        if customer is None and row["anonymous_customer_id"] is not None:
            links = [
                other
                for other in in_order(stream)
                if other["customer"] is not None
                and other["anonymous_customer_id"] == row["anonymous_customer_id"]
                and None not in (other["ts"], row["ts"])
                and other["ts"] > row["ts"]
            ]
            customer = links[0]["customer"] if links else None
        names_of_row = ("activity", "anonymous_customer_id", "activity_occurrence")
        expected.append(
            [row["activity_id"], row["ts"], customer, *(row[name] for name in names_of_row)]
        )
    assert comparable(got) == comparable(expected)


def test_a_stream_without_anonymous_customers_is_what_it_was(
    render: Renderer, connection: duckdb.DuckDBPyConnection
) -> None:
    connection.execute(
        "create table stream as select 'i' as activity_id, timestamp '2026-01-01' as ts, "
        "7 as customer, 'a' as activity, 3 as store"
    )
    columns = ", ".join(
        f"'{name}': none"
        for name in ("anonymous_customer_id", "feature_json", "revenue_impact", "link")
    )
    sql = render(f"{{{{ cdesk.stitch(cdesk.stream('stream', {{{columns}, 'store': 'store'}})) }}}}")
    assert connection.execute(sql).fetchall() == [
        ("i", datetime(2026, 1, 1), 7, "a", 3)  # noqa: DTZ001 -- UTC without zone
    ]
