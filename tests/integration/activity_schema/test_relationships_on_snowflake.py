"""The Snowflake forms, through the real connector against the local stand-in, on random streams
against the reference.

What the stand-in can't prove: that Snowflake's own ASOF JOIN is the outer join that its
documentation says. The stand-in runs it as DuckDB's ASOF LEFT JOIN on the same condition; the
sides, the condition and everything around are as Snowflake gets them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.snowflake.account import running_account
from tests.unit.activity_schema import reference
from tests.unit.activity_schema.reference import (
    RELATIONSHIPS,
    Activity,
    Aggregate,
    Append,
    Row,
    Value,
)
from tests.unit.activity_schema.rendering import Renderer
from tests.unit.activity_schema.streams import (
    COLUMNS,
    START,
    appends,
    cohorts,
    comparable,
    create_values,
    macro_text,
    streams,
)

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")
relaxed = settings(
    max_examples=2,
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # each try is a round trip to a server: too slow to shrink
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
COHORT_COLUMNS = [
    Value("activity_id"),
    Value("customer"),
    Value("ts"),
    Value("activity_occurrence"),
    Value("n", "integer"),
]


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return Renderer(tmp_path_factory.mktemp("render") / "snowflake", "snowflake")


@pytest.fixture(scope="module")
def cursor() -> Iterator[Any]:
    with running_account() as account:
        connection = account.connect()
        cursor = connection.cursor()
        cursor.execute("create database if not exists claude_logs")
        cursor.execute("create schema if not exists claude_logs.relationships")
        cursor.execute("use schema claude_logs.relationships")
        yield cursor
        connection.close()


def plain(value: Any) -> Any:
    """As DuckDB would give it: ARRAY and VARIANT come back as JSON text, and the stand-in sends a
    null timestamp as the epoch.
    """
    if isinstance(value, str) and value.startswith("["):
        return [plain(item) for item in json.loads(value)]
    if isinstance(value, str) and TIMESTAMP.match(value):
        return datetime.fromisoformat(value)
    return None if value == datetime(1970, 1, 1) else value  # noqa: DTZ001 -- TIMESTAMP_NTZ


def check(
    render: Renderer,
    cursor: Any,
    stream: list[Row],
    cohort: Activity,
    asked: list[Append],
    stored: bool,
) -> None:
    columns = ", ".join(f"{name} {kind.format(json='variant')}" for name, kind in COLUMNS.items())
    cursor.execute(
        f"create or replace table stream ({columns.replace('timestamp', 'timestamp_ntz')})"
    )
    if stream:
        cursor.execute("insert into stream " + create_values(stream))
    cursor.execute(render(macro_text(cohort, COHORT_COLUMNS, asked, stored=stored)))
    got = [[plain(value) for value in row] for row in cursor.fetchall()]
    expected = reference.dataset(stream, cohort, COHORT_COLUMNS, asked)
    assert comparable(got) == comparable(expected)


@pytest.mark.parametrize("relationship", RELATIONSHIPS)
@relaxed
@given(data=st.data(), stream=streams(max_size=15), cohort=cohorts(), stored=st.booleans())
def test_a_relationship_means_the_same_on_snowflake(
    render: Renderer,
    cursor: Any,
    relationship: str,
    data: st.DataObject,
    stream: list[Row],
    cohort: Activity,
    stored: bool,
) -> None:
    check(render, cursor, stream, cohort, [data.draw(appends(relationship))], stored)


@pytest.mark.parametrize("relationship", ["aggregate_before", "aggregate_after"])
def test_a_list_is_the_beginning_or_end_of_the_customers_list(
    render: Renderer, cursor: Any, relationship: str
) -> None:
    row = {
        "activity": "b",
        "customer": "ada",
        "anonymous_customer_id": None,
        "revenue_impact": 1.0,
        "feature_json": {},
    }
    stream: list[Row] = [
        {**row, "activity_id": f"id{n}", "ts": START + timedelta(seconds=n), "link": f"it's {n}"}
        for n in range(4)
    ]
    for now, after in zip(stream, [*stream[1:], None], strict=True):
        now |= {
            "activity_occurrence": int(now["activity_id"][2:]) + 1,
            "activity_repeated_at": after and after["ts"],
        }
    everything = Activity("b", "all", None, ())
    append = Append(relationship, everything, (Aggregate("list", Value("link")),), None, ())
    check(render, cursor, stream, everything, [append], stored=True)


@relaxed
@given(
    stream=streams(max_size=15),
    cohort=cohorts(),
    asked=st.lists(appends(), min_size=2, max_size=6),
    stored=st.booleans(),
)
def test_many_appends_mean_the_same_on_snowflake(
    render: Renderer,
    cursor: Any,
    stream: list[Row],
    cohort: Activity,
    asked: list[Append],
    stored: bool,
) -> None:
    check(render, cursor, stream, cohort, asked, stored)
