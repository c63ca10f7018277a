"""Identity resolution, on random streams against its definition."""

from __future__ import annotations

import duckdb
from hypothesis import HealthCheck, given, settings

from tests.unit.activity_schema.reference import Row, in_order
from tests.unit.activity_schema.rendering import Renderer
from tests.unit.activity_schema.streams import comparable, create_stream, streams


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(stream=streams())
def test_an_anonymous_row_gets_the_customer_of_the_next_later_row_that_names_both(
    render: Renderer, connection: duckdb.DuckDBPyConnection, stream: list[Row]
) -> None:
    create_stream(connection, stream)
    sql = render("{{ cdesk.stitch(cdesk.stream('stream')) }}")
    got = connection.execute(
        f"select activity_id, ts, customer, activity, anonymous_customer_id from ({sql})"
    ).fetchall()
    expected = []
    for row in stream:
        customer = row["customer"]
        if customer is None and row["anonymous_customer_id"] is not None:
            links = [
                other
                for other in in_order(stream)
                if other["customer"] is not None
                and other["anonymous_customer_id"] == row["anonymous_customer_id"]
                and other["ts"] > row["ts"]
            ]
            customer = links[0]["customer"] if links else None
        expected.append(
            [row["activity_id"], row["ts"], customer, row["activity"], row["anonymous_customer_id"]]
        )
    assert comparable(got) == comparable(expected)
