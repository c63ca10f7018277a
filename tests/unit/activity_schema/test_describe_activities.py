"""What `describe_activities` prints of a stream, to the letter, and which columns a stream lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from dbt.exceptions import CompilationError

from tests.unit.activity_schema.rendering import Renderer
from tests.unit.governance.account import Account

ROWS: list[tuple[str | None, str, dict[str, Any] | None]] = [
    ("b", "2026-01-05", {"n": 2.5, "of rest": None}),
    ("b", "2026-01-02", {"n": 1, "s": "x"}),
    ("b", "2026-01-03", {"s": 7}),
    ("a", "2026-01-04", {"z": [1], "o": {"k": 1}, "d": "2026-01-01", "t": "2026-01-01T10:00:00Z"}),
    ("a", "2026-01-04", {"d": "2026-01-02", "t": "2026-01-02", "z": "x", "f": True}),
    ("no", "2026-01-01", None),
    ("It's", "2026-01-01", {}),
    (None, "2020-01-01", {"n": 1}),
]
REGISTRY = {
    "a": {
        "description": 'says "a"',
        "model": "held",
        "where": "x > 1",
        "features": {"d": {"type": "string", "description": "a day"}, "later": "integer"},
    },
    "never": {"features": {"k": {"type": "boolean", "column": "kk"}}},
}
BY_ITSELF = """\
vars:
  cdesk__activity_schema_activities:
    a: # rows: 2, 2026-01-04 to 2026-01-04
      description: ""
      features:
        d: {type: date, description: ""}
        f: {type: boolean, description: ""}
        o: {type: json, description: ""}
        t: {type: timestamp, description: ""}
        z: {type: json, description: ""}
    b: # rows: 3, 2026-01-02 to 2026-01-05
      description: ""
      features:
        "n": {type: number, description: ""}
        "of rest": {type: string, description: ""}
        s: {type: string, description: ""}
    "It's": # rows: 1, 2026-01-01 to 2026-01-01
      description: ""
      features: {}
    "no": # rows: 1, 2026-01-01 to 2026-01-01
      description: ""
      features: {}"""
KNOWN = """\
    a: # rows: 2, 2026-01-04 to 2026-01-04
      description: "says \\"a\\""
      model: "held"
      where: "x > 1"
      features:
        d: {type: string, description: "a day"}
        later: {type: integer, description: ""}
        f: {type: boolean, description: ""}
        o: {type: json, description: ""}
        t: {type: timestamp, description: ""}
        z: {type: json, description: ""}
"""
NEVER = """\
    never: # rows: 0
      description: ""
      features:
        k: {type: boolean, column: "kk", description: ""}
"""
TABLE = """\
      One row per activity.

      | activity | what it is | features |
      |---|---|---|
      | `a` | says "a" | `d` (string): a day; `later` (integer); `f` (boolean); `o` (json); `t` (timestamp); `z` (json) |
      | `b` |  | `n` (number); `of rest` (string); `s` (string) |
"""


@pytest.fixture
def held(render: Renderer) -> Iterator[Account]:
    with duckdb.connect() as connection:
        for name, feature in (("held", "feature_json"), ("events", "_feature_json")):
            connection.execute(
                f"create table {name} (activity varchar, ts timestamp, {feature} json)"
            )
            for activity, ts, features in ROWS:
                text = None if features is None else json.dumps(features)
                connection.execute(f"insert into {name} values (?, ?, ?)", [activity, ts, text])
        yield Account(render, connection=connection)


def printed(account: Account, **arguments: Any) -> str:
    account.printed.clear()
    account("describe_activities", **arguments)
    [text] = account.printed
    return text


def test_a_stream_is_described_for_the_registry(held: Account) -> None:
    assert printed(held, model="held") == printed(held, form="vars") == BY_ITSELF
    with pytest.raises(CompilationError, match="form 'yaml' is none of vars, models"):
        held("describe_activities", form="yaml")


def test_what_the_registry_says_stands_beside_what_is_found(held: Account) -> None:
    held.variables = {"cdesk__activity_schema_activities": REGISTRY}
    text = printed(held, model="held")
    assert KNOWN in text
    assert NEVER in text + "\n"
    assert [line.split(":")[0] for line in text.splitlines() if "# rows" in line] == [
        "    a", "    b", '    "It\'s"', "    never", '    "no"',
    ]  # fmt: skip


def test_a_stream_is_described_for_its_model(held: Account) -> None:
    held.variables = {"cdesk__activity_schema_activities": REGISTRY}
    assert held.connection is not None
    held.connection.execute("delete from held where activity in ('no', 'It''s')")
    text = printed(held, model="held", form="models")
    assert text.startswith("version: 2\nmodels:\n  - name: held\n    description: |\n" + TABLE)
    assert "      | `never` |  | `k` (boolean) |\n    columns:\n" in text
    tests = "not_null, {accepted_values: {arguments: {values: [a, b, never]}}}"
    assert f"      - name: activity\n        data_tests: [{tests}]\n" in text
    assert "      - name: ts\n        data_tests: [not_null]\n      - name: customer\n" in text
    assert "activity_occurrence" not in text
    ours = printed(held, form="models")
    assert ours.startswith("version: 2\nmodels:\n  - name: events\n")
    assert "      - name: activity_occurrence\n" in ours


def test_a_stream_without_features_is_described_by_its_activities(held: Account) -> None:
    stream = held("stream", "held", {"feature_json": None})
    found = held("_as_found_activities", stream)
    assert {name: item["features"] for name, item in found.items()} == {
        name: {} for name in ("It's", "a", "b", "no")
    }


@pytest.mark.parametrize(
    ("columns", "there", "given", "found"),
    [
        (["ACTIVITY", "Anonymous_Customer_Id"], True, {}, "anonymous_customer_id"),
        (["ACTIVITY", "customer"], True, {}, None),
        (["ACTIVITY"], True, {}, None),
        (["ACTIVITY"], True, {"anonymous_customer_id": "device"}, "device"),
        ([], True, {}, "anonymous_customer_id"),  # nobody may look
        (["ACTIVITY"], False, {}, "anonymous_customer_id"),  # not built yet
    ],
)
@pytest.mark.parametrize("prefix", ["", "__dbt__cte__"])
def test_a_stream_may_lack_who_was_anonymous(
    render: Renderer,
    columns: list[str],
    there: bool,
    given: dict[str, str],
    found: str | None,
    prefix: str,
) -> None:
    account = Account(render, columns=columns, relations={"theirs"} if there else set())
    account.schema = "main" if prefix else "elsewhere"
    relation = SimpleNamespace(
        identifier=f"{prefix}theirs", database="memory", schema=None if prefix else "elsewhere"
    )
    stream = account("stream", relation, given)
    assert stream["columns"]["anonymous_customer_id"]["column"] == found
    assert stream["typed"] is False
    assert account("stream", "theirs")["columns"]["anonymous_customer_id"]["column"] is not None
    assert account("events_stream", relation)["typed"] is True
