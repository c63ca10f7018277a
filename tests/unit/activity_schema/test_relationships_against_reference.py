"""Every relationship, filter, condition and aggregate on random streams, against the brute-force
reference.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.activity_schema import reference
from tests.unit.activity_schema.reference import (
    RELATIONSHIPS,
    Activity,
    Append,
    Derive,
    Row,
    Value,
)
from tests.unit.activity_schema.rendering import Renderer
from tests.unit.activity_schema.streams import (
    ENTITIES,
    appends,
    busy_stream,
    cohorts,
    comparable,
    create_stream,
    derivations,
    macro_text,
    rolling,
    streams,
)

COHORT_COLUMNS = [
    Value("activity_id"),
    Value("customer"),
    Value("ts"),
    Value("activity_occurrence"),
    Value("n", "integer"),
    Value("n", "date"),
]
relaxed = settings(
    max_examples=9,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def check(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    stream: list[Row],
    cohort: Activity,
    asked: Sequence[Append | Derive],
    stored: bool,
    entity: Value | None = None,
) -> None:
    create_stream(connection, stream)
    sql = render(macro_text(cohort, COHORT_COLUMNS, asked, stored=stored, entity=entity))
    expected = reference.dataset(stream, cohort, COHORT_COLUMNS, asked, entity)
    assert comparable(connection.execute(sql).fetchall()) == comparable(expected)


@pytest.mark.parametrize("relationship", RELATIONSHIPS)
@relaxed
@given(data=st.data(), stream=streams(), cohort=cohorts(), stored=st.booleans())
def test_a_relationship_is_what_its_definition_says(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    relationship: str,
    data: st.DataObject,
    stream: list[Row],
    cohort: Activity,
    stored: bool,
) -> None:
    check(render, connection, stream, cohort, [data.draw(appends(relationship))], stored)


@relaxed
@given(
    stream=streams(),
    cohort=cohorts(),
    asked=st.lists(appends(), min_size=2, max_size=6),
    stored=st.booleans(),
)
def test_many_appends_together_are_each_what_they_are_alone(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    stream: list[Row],
    cohort: Activity,
    asked: list[Append],
    stored: bool,
) -> None:
    check(render, connection, stream, cohort, asked, stored)


@relaxed
@given(
    data=st.data(),
    stream=streams(),
    cohort=cohorts(),
    asked=st.lists(appends(), max_size=3),
    stored=st.booleans(),
)
def test_columns_may_be_derived_of_all_that_stands_before_them(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    data: st.DataObject,
    stream: list[Row],
    cohort: Activity,
    asked: list[Append],
    stored: bool,
) -> None:
    derived = data.draw(derivations(COHORT_COLUMNS, asked))
    check(render, connection, stream, cohort, derived, stored)


@relaxed
@given(
    stream=streams(),
    cohort=cohorts(),
    asked=st.lists(appends(), min_size=1, max_size=3),
    stored=st.booleans(),
    entity=st.sampled_from(ENTITIES),
)
def test_rows_relate_by_the_entity_that_is_named(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    stream: list[Row],
    cohort: Activity,
    asked: list[Append],
    stored: bool,
    entity: Value,
) -> None:
    check(render, connection, stream, cohort, asked, stored, entity)


@settings(relaxed, max_examples=5)
@given(append=rolling(), seed=st.integers(0, 10_000), stored=st.booleans())
def test_a_window_is_what_it_is_however_many_rows_it_holds(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    append: Append,
    seed: int,
    stored: bool,
) -> None:
    stream = busy_stream(append, seed)
    check(render, connection, stream, Activity("a"), [append], stored)
