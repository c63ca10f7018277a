"""The macro `erase`: a customer's rows go, those of others stay as they are, and what comes in
later from before stays out.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.dbt.conftest import DbtWarehouse, envelope, event, insight, query_run

BOB = "bob@example.com"
O_BRIEN = 'o\'brien "x\\y" ? %s ; drop table events'
WHOSE = (ADA := "ada@example.com", BOB, O_BRIEN)
AT = "2026-06-01T00:00:00.000000Z"


def records(customer: str, first: int) -> list[dict[str, Any]]:
    artifact = envelope(
        "artifact",
        first + 4,
        customer=customer,
        uri=f"cdesk://artifacts/{first:016x}/x.parquet",
        format="parquet",
        rows=1,
        bytes=1,
        sampled=False,
        query_hash="0" * 16,
        expires_at="2026-09-01T00:00:00.000000Z",
        legal_hold=False,
    )
    return [
        event(first, customer=customer, feature_json={"question": f"secret {first}"}),
        event(first + 1, customer=customer, activity="cdesk.tool_called"),
        query_run(first + 2, customer=customer),
        insight(first + 3, customer=customer),
        artifact,
        {"id": f"q-{first}", "kind": "quarantine", "raw": json.dumps({"customer": customer})},
        event(first + 5, customer=customer, ts="no time"),
    ]


def content(warehouse: DbtWarehouse) -> dict[str, list[Any]]:
    """Every row of every table, as text."""
    with warehouse.connect() as connection:
        tables = connection.execute(
            "select table_name from information_schema.tables where table_type = 'BASE TABLE' "
            "and table_schema = 'activities' and table_name <> 'erasures'"
        ).fetchall()
        return {
            table: sorted(map(str, connection.execute(f'select * from "{table}"').fetchall()))
            for (table,) in tables
        }


def erase(warehouse: DbtWarehouse, customer: str) -> None:
    args = json.dumps({"customer": customer, "erased_at": AT})
    warehouse.dbt("run-operation", "erase", "--args", args)


@pytest.fixture
def three(warehouse: DbtWarehouse) -> DbtWarehouse:
    """Three customers' records of every kind, built."""
    for number, customer in enumerate(WHOSE):
        warehouse.land(records(customer, 100 * (number + 1)), source_file=f"{number:032x}-000001")
    warehouse.build()
    return warehouse


def test_nothing_of_the_customer_is_left_and_others_are_as_before(three: DbtWarehouse) -> None:
    before = content(three)
    holding = {table for table, rows in before.items() if "brien" in str(rows)}
    assert holding >= {"events", "landing", "artifacts", "context_cache", "insight_atoms"}
    erase(three, O_BRIEN)
    after = content(three)
    assert "brien" not in str(after)
    assert "secret 300" not in str(after)
    ids = three.query("select count(*) from _ingest_ids")
    assert ids == [(14,)], "seven lines of each of the others"
    for table in ("events", "insight_atoms", "provenance_chain", "artifacts", "context_cache"):
        mine = [row for row in before[table] if "brien" not in row]
        assert after[table] == mine, table
    three.build()
    assert content(three) == after, "a build brings nothing back"


def test_what_comes_later_from_before_stays_out_and_a_new_beginning_is_kept(
    three: DbtWarehouse,
) -> None:
    erase(three, BOB)
    old = event(901, customer=BOB, ts="2026-05-31T23:59:59.999999Z")
    new = event(902, customer=BOB, ts="2026-06-01T00:00:00.000001Z")
    of_ada = event(903, customer=ADA, ts="2026-05-01T00:00:00.000000Z")
    raw = json.dumps({"customer": BOB, "ts": old["ts"]})
    refused = {"id": "q-late", "kind": "quarantine", "raw": raw, "reason": "x", "detail": "y"}
    three.land([old, new, of_ada, refused])
    live = "select count(*) from events_live where customer = ?"
    assert three.query(live, [BOB]) == [(1,)]
    three.build()
    rows = three.query("select customer, count(*) from events group by all order by all")
    assert dict(rows)[BOB] == 1
    assert dict(rows)[ADA] == 3
    assert three.query(
        "select count(*) from quarantined_events where quarantine_id = 'q-late'"
    ) == [(0,)]
    three.build(full=True)
    assert three.query("select count(*) from events where customer = ?", [BOB]) == [(1,)]
    assert "bob" not in str(three.query("select * from erasures"))


def test_a_legal_hold_refuses_and_nothing_goes(
    three: DbtWarehouse, capfd: pytest.CaptureFixture[str]
) -> None:
    held = records(ADA, 500)[4] | {"legal_hold": True, "uri": "cdesk://artifacts/a/b.parquet"}
    three.land([held])
    three.build()
    before = content(three)
    with pytest.raises(AssertionError):
        erase(three, ADA)
    assert "ada@example.com is under legal hold (1 stored results" in capfd.readouterr().out
    assert content(three) == before


def operate(warehouse: DbtWarehouse, macro: str, **arguments: Any) -> None:
    warehouse.dbt("run-operation", macro, "--args", json.dumps(arguments))


def test_retention_takes_what_is_old_from_tables_and_contexts_but_from_no_held_customer(
    warehouse: DbtWarehouse, capfd: pytest.CaptureFixture[str]
) -> None:
    questions = [
        event(number, ts=f"2026-02-0{number}T12:00:00.000000Z", feature_json={"question": text})
        for number, text in enumerate(("the old one", "the kept one"), start=1)
    ]
    of_bob = event(9, customer=BOB, feature_json={"question": "the old one of bob"})
    torn = {"id": "q-old", "kind": "quarantine", "raw": "{ the old one", "reason": "torn"}
    warehouse.land([questions[0], of_bob, torn])
    warehouse.land([questions[1], query_run(3), insight(4)])
    warehouse.build()

    def remembered(customer: str = ADA) -> dict[str, Any]:
        ((text,),) = warehouse.query(
            "select cast(context as varchar) from context_cache where customer = ?", [customer]
        )
        found: dict[str, Any] = json.loads(text)
        return found

    def old(table: str, text: str) -> int:
        sql = f"select count(*) from {table} where cast({text} as varchar) like '%the old%'"
        return int(warehouse.query(sql)[0][0])

    assert len(remembered()["recent_questions"]) == 2
    with warehouse.connect() as connection:
        for table, landed_at, text in (
            ("events", "_landed_at", "_feature_json"),
            ("landing", "landed_at", "payload"),
            ("quarantined_events", "landed_at", "raw"),
        ):
            connection.execute(
                f"update {table} set {landed_at} = (now() at time zone 'UTC') - to_days("
                f"case when cast({text} as varchar) like '%the old%' then 181 else 179 end)"
            )
    operate(warehouse, "legal_hold", customer=BOB.upper(), reason="case 'x\"; --")
    assert warehouse.query("select customer, reason from legal_holds") == [
        (BOB.upper(), "case 'x\"; --")
    ]
    with pytest.raises(AssertionError):
        erase(warehouse, BOB)
    assert "bob@example.com is under legal hold (a row in legal_holds)" in capfd.readouterr().out
    operate(warehouse, "apply_retention", events_days=180)
    assert (old("events", "_feature_json"), old("landing", "payload")) == (1, 2)
    warehouse.build()
    assert [one["question"] for one in remembered()["recent_questions"]] == ["the kept one"]
    assert remembered()["insights"], "insights are kept"
    assert remembered(BOB)["recent_questions"], "who is held keeps all"
    assert old("quarantined_events", "raw"), "what names nobody may be the held one's"

    operate(warehouse, "legal_hold", customer=BOB, lift=True)
    operate(warehouse, "apply_retention", events_days=180)
    warehouse.build()
    assert warehouse.query("select count(*) from legal_holds") == [(0,)]
    assert remembered(BOB)["recent_questions"] == []
    for table, text in (
        ("events", "_feature_json"),
        ("landing", "payload"),
        ("quarantined_events", "raw"),
        ("context_cache", "context"),
    ):
        assert old(table, text) == 0, table
    assert warehouse.query("select count(*) from events") == [(1,)]


def test_a_retention_that_is_too_short_is_refused(
    warehouse: DbtWarehouse, capfd: pytest.CaptureFixture[str]
) -> None:
    for wrong in (179, True, "365"):
        with pytest.raises(AssertionError):
            operate(warehouse, "apply_retention", events_days=wrong)
        assert f"apply_retention: events_days is {wrong}; allowed:" in capfd.readouterr().out
