"""Which landed lines are records, each once, and the types of their fields."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.dbt.conftest import event, insight, query_run
from tests.unit.governance.account import Account

TABLES = """
    create table landing (id varchar, kind varchar, payload json, source_file varchar,
        source_offset bigint, landed_at timestamp, landed_by varchar);
    create table _ingest_ids (id varchar, kind varchar, source_file varchar, source_offset bigint,
        landed_at timestamp, copies bigint);
    create table erasures (customer_hash varchar, hash_key varchar, erased_at timestamp);
"""


def test_a_line_counts_at_the_place_where_it_was_taken_in(local: Account) -> None:
    assert local.connection is not None
    execute = local.connection.execute
    for statement in TABLES.strip().split(";\n"):
        execute(statement)

    def land(record: dict[str, Any], file: str, offset: int, day: int, kind: str = "") -> None:
        row = [record["id"], kind or record["kind"], json.dumps(record), file, offset]
        execute("insert into landing values (?, ?, ?, ?, ?, ?, null)", [*row, f"2026-01-{day:02}"])

    def take(
        record: dict[str, Any], file: str, offset: int, day: int, copies: int, kind: str = "event"
    ) -> None:
        row = [record["id"], kind, file, offset, f"2026-01-{day:02}", copies]
        execute("insert into _ingest_ids values (?, ?, ?, ?, ?, ?)", row)

    one, two, of_two_kinds, waiting = (event(number) for number in (1, 2, 3, 4))
    land(one, "a", 1, 1)
    for file, offset, day in (("b", 1, 1), ("a", 2, 1), ("a", 1, 2)):
        land({**one, "link": "https://a.b/elsewhere"}, file, offset, day)
    take(one, "a", 1, 1, 1)
    # at one place and instant: told apart by their text, and judged again
    land({**two, "link": "https://a.b/z"}, "a", 3, 1)
    land({**two, "link": "https://a.b/c"}, "a", 3, 1)
    land({**two, "link": "https://a.b/b", "v": 2}, "a", 3, 1)
    land({**two, "link": "https://a.b/z"}, "a", 3, 1)
    take(two, "a", 3, 1, 4)
    land(of_two_kinds, "a", 4, 1)
    take(of_two_kinds, "a", 4, 1, 1, "insight")
    land(of_two_kinds, "a", 5, 1, "insight")
    take(of_two_kinds, "a", 5, 1, 1, "event")
    land(waiting, "a", 6, 1)
    names = list(local("record_fields", "event"))
    link = local("json_text", local("json_field", "fields", names, "link"))
    found = execute(
        f"select right(id, 1), source_file, source_offset, day(landed_at), {link} "
        f"from ({local('landed_records', 'event')}) order by 1"
    ).fetchall()
    assert found == [("1", "a", 1, 1, None), ("2", "a", 3, 1, "https://a.b/c")]


def test_a_field_has_the_type_of_its_rule(local: Account) -> None:
    assert local.connection is not None
    execute = local.connection.execute
    records = {
        "event": event(1, revenue_impact=2.5, feature_json={"a": 1}, link=None),
        "insight": insight(2, value="42"),
        "query_run": query_run(3, rows=7, sampled=True, elapsed_ms=1.5, as_of=None),
    }
    expected: dict[tuple[str, str], tuple[Any, str]] = {
        ("event", "ts"): ("2026-02-01 12:00:00", "TIMESTAMP"),
        ("event", "revenue_impact"): ("2.5", "DOUBLE"),
        ("event", "feature_json"): ('{"a":1}', "JSON"),
        ("event", "link"): (None, "VARCHAR"),
        ("event", "customer"): ("ada@example.com", "VARCHAR"),
        ("insight", "value"): ('"42"', "JSON"),
        ("query_run", "rows"): ("7", "BIGINT"),
        ("query_run", "sampled"): ("true", "BOOLEAN"),
        ("query_run", "evidence_complete"): ("true", "BOOLEAN"),
        ("query_run", "elapsed_ms"): ("1.5", "DOUBLE"),
        ("query_run", "as_of"): (None, "TIMESTAMP"),
        ("query_run", "params"): (records["query_run"]["params"], "VARCHAR"),
    }
    found: dict[tuple[str, str], tuple[Any, str]] = {}
    for kind, name in expected:
        names = list(local("record_fields", kind))
        value = local("record_field", kind, name)
        rows = execute(
            f"select cast({value} as varchar), typeof({value}) from (select "
            f"{local('json_fields', 'payload', names)} as fields from (select cast(? as json) as payload))",
            [json.dumps(records[kind])],
        ).fetchall()
        text, found_type = rows[0]
        found[kind, name] = (text, found_type)
    assert found == expected
