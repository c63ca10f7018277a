"""The registry of activities: a stream made of it, typed features, what a stream is found to hold,
and the numbers of a foreign stream.
"""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
import yaml
from dbt.exceptions import CompilationError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.activity_schema import reference
from tests.unit.activity_schema.reference import Activity, Row
from tests.unit.activity_schema.rendering import Renderer
from tests.unit.activity_schema.streams import COLUMNS, comparable, create_stream, streams

REGISTRY = {
    "bought": {
        "model": "events",
        "where": "sold > 0",
        "columns": {
            "activity_id": "number",
            "ts": "sold_at",
            "customer": "buyer",
            "revenue_impact": "price",
        },
        "features": {"items": "integer", "packed": {"type": "timestamp", "column": "packed_at"}},
    },
    "said it's fine": {
        "model": "events",
        "columns": {"activity_id": "number", "ts": "sold_at", "customer": "buyer"},
        "features": {"packed": {"column": "note"}},
    },
}
NAMES = [name for name in COLUMNS if not name.startswith("activity_")] + ["activity_id"]


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    folder = tmp_path_factory.mktemp("render") / "registered"
    return Renderer(folder, "duckdb", json.dumps({"cdesk__activity_schema_activities": REGISTRY}))


def test_a_stream_is_made_of_the_registered_activities(
    registered: Renderer, connection: duckdb.DuckDBPyConnection
) -> None:
    connection.execute(
        "create table events as select 7 as number, timestamp '2026-01-01 10:00' as sold_at, "
        "3 as buyer, 1 as sold, 2 as items, timestamp '2026-01-02' as packed_at, 5 as price, "
        "'soon' as note"
    )
    sql = registered("{{ cdesk.activities_stream() }}").replace('"memory"."main".', "")
    found = connection.execute(f"select * from ({sql}) order by activity")
    names = [name for name, *_ in found.description or ()]
    assert names == [
        *("activity_id", "ts", "customer", "activity", "anonymous_customer_id"),
        *("revenue_impact", "link", "feature_json"),
    ]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    assert [(row["activity"], row["customer"], row["revenue_impact"]) for row in rows] == [
        ("bought", "3", 5.0),
        ("said it's fine", "3", None),
    ]
    assert json.loads(rows[0]["feature_json"]) == {"items": 2, "packed": "2026-01-02 00:00:00"}

    connection.execute("insert into events select * from events")  # which the model has twice
    assert connection.execute(f"select count(*) from ({sql})").fetchall() == [(4,)]
    connection.execute("delete from events where rowid > 0")
    connection.execute(f"create table stream as {sql}")
    typed = registered("{{ cdesk.activity_rows('bought', cdesk.stream('stream')) }}")
    [(items, year)] = connection.execute(
        f"select items + 1, year(packed) from ({typed})"
    ).fetchall()
    assert (items, year) == (3, 2026)


@pytest.mark.parametrize(
    ("feature", "refused"),
    [("'packed'", "timestamp, string"), ("'itmes'", "items, packed"), ("'packed', 'json'", None)],
)
def test_a_feature_has_its_registered_type_and_an_unknown_one_is_refused(
    registered: Renderer, feature: str, refused: str | None
) -> None:
    text = f"{{{{ cdesk.dataset(cdesk.activity('bought', columns=[cdesk.feature({feature}), "
    text += "cdesk.feature('items', as='n')]), [], cdesk.stream('stream')) }}"
    if refused is None:
        assert "bigint" in registered(text).lower()
    else:
        with pytest.raises(CompilationError, match=refused):
            registered(text)


def test_an_activity_that_is_not_registered_is_refused(registered: Renderer) -> None:
    with pytest.raises(CompilationError, match="allowed: bought, said it's fine"):
        registered("{{ cdesk.activity('boght') }}")


def test_what_a_stream_holds_is_told_as_a_registry(
    registered: Renderer, connection: duckdb.DuckDBPyConnection
) -> None:
    """A type is the narrowest one that all of a key's values are of."""
    values: dict[str, list[Any]] = {
        "integer": [1, None, 2],
        "number": [1, 2.5],
        "boolean": [True, False],
        "date": ["2026-01-01"],
        "timestamp": ["2026-01-01T10:00:00Z", "2026-01-01"],
        "json": [{"a": 1}, "text"],
        "string": ["1", 1],
        "it's/a ~key": ["x"],
        "never": [None],
    }
    connection.execute("create table stream (activity varchar, ts timestamp, feature_json json)")
    for key, given_values in values.items():
        for value in given_values:
            connection.execute(
                "insert into stream values ('a', '2026-01-01', ?)", [json.dumps({key: value})]
            )
    sql = registered("{{ cdesk._as_found_features_sql(cdesk.stream('stream')) }}")
    found = {key: kind for _, key, kind in connection.execute(sql).fetchall()}
    assert found == {key: key for key in values} | {"it's/a ~key": "string", "never": "string"}

    features = {key: {"type": kind, "description": ""} for key, kind in found.items()}
    told = {"rows": 3, "since": "2026-01-01", "until": "2026-01-02", "description": 'says "x"'}
    given_found = json.dumps({"it's: a": {**told, "features": features}})
    text = registered(f"{{{{ cdesk._as_registry_text({given_found}) }}}}")
    read = yaml.safe_load(text)["vars"]["cdesk__activity_schema_activities"]
    assert read == {"it's: a": {"description": 'says "x"', "features": features}}
    text = registered(
        f"{{{{ cdesk._as_model_text('our_stream', cdesk.stream('stream'), {given_found}) }}}}"
    )
    [model] = yaml.safe_load(text)["models"]
    assert "`never` (string)" in model["description"]
    tests = {column["name"]: column.get("data_tests") for column in model["columns"]}
    assert tests["activity"][1] == {"accepted_values": {"arguments": {"values": ["it's: a"]}}}


def test_what_the_registry_says_is_kept(registered: Renderer) -> None:
    held = {"rows": 3, "since": "2026-01-01", "until": "2026-01-02"}
    features = {"items": {"type": "string"}, "new": {"type": "date"}}
    found = json.dumps(
        {"bought": {**held, "features": features}, "added": {**held, "features": {}}}
    )
    told = f"cdesk._as_told_activities({found})"
    text = registered(f"{{{{ cdesk._as_registry_text({told}) }}}}")
    read = yaml.safe_load(text)["vars"]["cdesk__activity_schema_activities"]
    nothing = {"description": ""}
    assert read == {
        "added": {**nothing, "features": {}},
        "bought": {
            **nothing,
            **REGISTRY["bought"],
            "features": {
                "items": {"type": "integer", **nothing},
                "packed": {"type": "timestamp", "column": "packed_at", **nothing},
                "new": {"type": "date", **nothing},
            },
        },
        "said it's fine": {
            **nothing,
            **REGISTRY["said it's fine"],
            "features": {"packed": {"type": "string", "column": "note", **nothing}},
        },
    }
    assert "said it's fine\": # rows: 0\n" in text
    assert "`items` (integer)" in registered(
        f"{{{{ cdesk._as_model_text('our_stream', cdesk.stream('stream'), {told}) }}}}"
    )


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    stream=streams().filter(lambda rows: len(rows) > 5),
    cuts=st.tuples(st.integers(0, 9), st.integers(0, 9)),
)
def test_a_foreign_stream_is_numbered_exactly_in_any_order_of_arrival(
    render: Renderer,
    connection: duckdb.DuckDBPyConnection,
    stream: list[Row],
    cuts: tuple[int, int],
) -> None:
    """Three builds, each of what has arrived by then, are one build of all."""
    full = render("{{ cdesk._as_numbered_sql(cdesk.stream('stream'), none) }}")
    more = render("{{ cdesk._as_numbered_sql(cdesk.stream('stream'), 'held') }}")
    low, high = sorted(cut * len(stream) // 10 for cut in cuts)
    for number, end in enumerate((low, high, len(stream))):
        create_stream(connection, stream[:end])
        if number == 0:
            connection.execute(f"create or replace table held as {full}")
            continue
        connection.execute(f"create or replace table batch as {more}")
        connection.execute("delete from held using batch b where held.activity = b.activity "
                           "and held.activity_id = b.activity_id")  # fmt: skip
        connection.execute("insert into held by name select * from batch")
    unique = list({(row["activity"], row["activity_id"]): row for row in stream}.values())
    columns = [*NAMES, "activity_occurrence", "activity_repeated_at"]
    expected = [
        [json.dumps(row[name]) if name == "feature_json" else row[name] for name in columns]
        for name in {row["activity"] for row in unique}
        for row in reference.occurrences(unique, Activity(name))
    ]
    expected = [
        row if reference.who(dict(zip(columns, row, strict=True))) is not None
        else [*row[:-2], None, None]
        for row in expected
    ]  # fmt: skip
    got = connection.execute(f"select {', '.join(columns)} from held").fetchall()
    assert comparable(got) == comparable(expected)
