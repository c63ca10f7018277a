"""What property tests can't draw: columns of columns, infinity, approximate counts, contracts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.activity_schema import reference
from tests.unit.activity_schema.reference import Activity, Aggregate, Append, Row, Value
from tests.unit.activity_schema.rendering import Renderer
from tests.unit.activity_schema.streams import (
    STORED,
    comparable,
    create_stream,
    streams,
)

SINGLE = [name for name in reference.RELATIONSHIPS if name.split("_")[0] in ("first", "last")]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    stream=streams(),
    earlier=st.sampled_from(SINGLE),
    later=st.sampled_from([*SINGLE, "aggregate_after", "aggregate_in_between", "nth_before"]),
    sign=st.sampled_from(["<", ">="]),
)
def test_a_later_append_may_use_what_an_earlier_one_found(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    stream: list[Row],
    earlier: str,
    later: str,
    sign: str,
) -> None:
    """The later one keeps to rows before (or from) an hour after the row that the earlier one
    found.
    """
    create_stream(connection, stream)
    nth = ", nth=2" if later.startswith("nth") else ""
    aggregated = later.startswith("aggregate")
    columns = "cdesk.agg('count', as='found')" if aggregated else "cdesk.column('ts', as='found')"
    sql = render(
        f"{{{{ cdesk.dataset('a', [cdesk.{earlier}('b', columns=cdesk.column('ts', as='b_ts')), "
        "cdesk.derive('limit_at', cdesk.calc(cdesk.output('b_ts'), '+', cdesk.interval(1, 'second'))), "
        f"cdesk.{later}('c', columns={columns}{nth}, "
        f"conditions=cdesk.condition('ts', '{sign}', cdesk.output('limit_at')))], "
        "stream=cdesk.stream('stream')) }}"
    )
    got = connection.execute(f"select activity_id, b_ts, found from ({sql})").fetchall()
    compare = reference.COMPARISONS[sign]
    expected: list[list[Any]] = []
    for row in reference.cohort_rows(stream, Activity("a")):
        [b_ts] = reference.appended(stream, row, Append(earlier, Activity("b"), (Value("ts"),)))
        limited = [
            other
            for other in stream
            if other["activity"] == "c"
            and b_ts is not None
            and other["ts"] is not None
            and compare(other["ts"] - timedelta(seconds=1), b_ts)
        ]
        asked = (Aggregate("count"),) if aggregated else (Value("ts"),)
        append = Append(later, Activity("c"), asked, 2 if nth else None)
        # A condition narrows what is found, not the activity; without a filter it is the same.
        expected.append([row["activity_id"], b_ts, *reference.appended(limited, row, append)])
    assert comparable(got) == comparable(expected)


def ask(connection: duckdb.DuckDBPyConnection, sql: str, order: str = "1") -> list[Any]:
    return connection.execute(f"select * from ({sql}) order by {order}").fetchall()


@pytest.mark.parametrize("instant", ["9999-12-31", "infinity"])
@pytest.mark.parametrize("stored", [False, True])
def test_no_instant_stands_for_never(
    render: Renderer, connection: duckdb.DuckDBPyConnection, instant: str, stored: bool
) -> None:
    create_stream(connection, [])
    insert = "insert into stream (activity_id, activity, customer, ts, activity_occurrence) values "
    connection.execute(
        f"{insert} ('1', 'a', 'ada', '2026-01-01', 1), ('2', 'b', 'ada', ?, 1)", [instant]
    )
    stream = f"cdesk.stream('stream'{STORED if stored else ''})"
    sql = render(
        "{{ cdesk.dataset(cdesk.activity('a', columns='activity_id'), ["
        "cdesk.first_after('b', columns='activity_id'), "
        "cdesk.first_in_between('b', columns='activity_id'), "
        "cdesk.last_in_between('b', columns='activity_id'), "
        f"cdesk.aggregate_in_between('b')], stream={stream}) }}}}"
    )
    assert ask(connection, sql) == [("1", "2", "2", "2", 1)]
    # As a cohort row it is as good as any.
    sql = render(
        "{{ cdesk.dataset(cdesk.activity('b', columns='activity_id'), "
        f"[cdesk.last_before('a', columns='activity_id')], stream={stream}) }}}}"
    )
    assert ask(connection, sql) == [("2", "1")]
    # A next cohort row at that instant ends the window before it.
    connection.execute(f"{insert} ('3', 'a', 'ada', ?, 2)", [instant])
    connection.execute(
        "update stream set activity_repeated_at = ? where activity_id = '1'", [instant]
    )
    sql = render(
        "{{ cdesk.dataset(cdesk.activity('a', columns='activity_id'), ["
        "cdesk.last_in_between('b', columns='activity_id'), "
        f"cdesk.aggregate_in_between('b')], stream={stream}) }}}}"
    )
    assert ask(connection, sql) == [("1", None, 0), ("3", None, 0)]


def test_a_sum_of_integers_is_a_bigint_and_a_ratio_a_double(
    render: Renderer, connection: duckdb.DuckDBPyConnection
) -> None:
    create_stream(connection, [])
    items = "cdesk.agg('sum', cdesk.feature('n', 'integer'), as='{}')"
    for relationship in ("aggregate_before", "aggregate_all_ever", "aggregate_in_between"):
        sql = render(
            f"{{{{ cdesk.dataset('a', cdesk.{relationship}('b', columns=[{items.format('total')}, "
            f"cdesk.ratio({items.format('x')}, cdesk.agg('count'), as='mean')]), "
            "stream=cdesk.stream('stream')) }}"
        )
        described = connection.execute(f"describe select total, mean from ({sql})").fetchall()
        assert [row[1] for row in described] == ["BIGINT", "DOUBLE"]


def test_an_approximate_count_is_near_the_exact_one(
    render: Renderer, connection: duckdb.DuckDBPyConnection
) -> None:
    create_stream(connection, [])
    connection.execute(
        "insert into stream (activity_id, activity, customer, ts, link) select i, "
        "case when i = 0 then 'a' else 'b' end, 'ada', timestamp '2026-01-01' + to_seconds(i), i % 1000 "
        "from range(3000) as t (i)"
    )
    for relationship in ("aggregate_after", "aggregate_all_ever"):
        sql = render(
            f"{{{{ cdesk.dataset(cdesk.activity('a', columns='activity_id'), cdesk.{relationship}('b', "
            "columns=cdesk.agg('approx_count_distinct', 'link')), stream=cdesk.stream('stream')) }}"
        )
        [(_, found)] = ask(connection, sql)
        assert found == pytest.approx(1000, rel=0.15)


def test_an_interval_may_be_longer_than_its_month(
    render: Renderer, connection: duckdb.DuckDBPyConnection
) -> None:
    """A calendar month before 31 March is the end of February: slices of time are long enough."""
    rows = [("a", "2026-03-31"), ("b", "2026-02-28"), ("b", "2026-02-27"), ("b", "2026-03-30")]
    create_stream(connection, [])
    for number, (activity, ts) in enumerate(rows):
        connection.execute(
            "insert into stream (activity_id, activity, customer, ts) values (?, ?, 'ada', ?)",
            [str(number), activity, ts],
        )
    sql = render(
        "{{ cdesk.dataset(cdesk.activity('a', columns='activity_id'), "
        "cdesk.aggregate_before('b', conditions=cdesk.within(1, 'month')), "
        "stream=cdesk.stream('stream')) }}"
    )
    assert ask(connection, sql) == [("0", 2)]


def test_a_condition_may_move_another_instant_than_the_rows_own(
    render: Renderer, connection: duckdb.DuckDBPyConnection
) -> None:
    """A month after the row: what is looked through isn't cut by the row's own time."""
    create_stream(connection, [])
    rows = [("a", "2026-01-01"), ("b", "2026-01-01 00:00:01"), ("b", "2026-01-31"),
            ("b", "2026-02-01 00:00:02"), ("b", "2026-02-01 00:00:03")]  # fmt: skip
    for number, (activity, ts) in enumerate(rows):
        connection.execute(
            "insert into stream (activity_id, activity, customer, ts, feature_json) "
            "values (?, ?, 'ada', ?, '{\"n\": \"2026-02-01T00:00:00Z\"}')",
            [str(number), activity, ts],
        )
    moved = "cdesk.calc(cdesk.feature('n', 'timestamp'), '+', cdesk.interval(2, 'second'))"
    for sign, found in (("<=", 3), ("<", 2), (">", 1), (">=", 2)):
        sql = render(
            "{{ cdesk.dataset(cdesk.activity('a', columns='activity_id'), "
            f"cdesk.aggregate_after('b', conditions=cdesk.condition('ts', '{sign}', {moved})), "
            "stream=cdesk.stream('stream')) }}"
        )
        assert ask(connection, sql) == [("0", found)]


@pytest.mark.parametrize("conditions", ["[]", "cdesk.condition('link', 'equals', 'link')"])
def test_of_rows_at_one_instant_the_id_decides(
    render: Renderer, connection: duckdb.DuckDBPyConnection, conditions: str
) -> None:
    create_stream(connection, [])
    rows = [("a", "0", 2), *(("b", id_, 1) for id_ in "7958"), *(("b", id_, 3) for id_ in "cxbd")]
    for activity, id_, second in rows:
        connection.execute(
            "insert into stream (activity_id, activity, customer, ts, link) values (?, ?, 'ada', ?, 'x')",
            [id_, activity, f"2026-01-01 00:00:0{second}"],
        )
    found = {
        "before": ("5", "9"), "between_before": ("5", "9"), "after": ("b", "x"),
        "in_between": ("b", "x"), "ever": ("5", "x"),
    }  # fmt: skip
    for span, ids in found.items():
        for pick, id_ in zip(("first", "last"), ids, strict=True):
            sql = render(
                "{{ cdesk.dataset(cdesk.activity('a', columns='activity_id'), "
                f"cdesk.{pick}_{span}('b', columns='activity_id', conditions={conditions}), "
                "stream=cdesk.stream('stream')) }}"
            )
            assert ask(connection, sql) == [("0", id_)], (pick, span)
