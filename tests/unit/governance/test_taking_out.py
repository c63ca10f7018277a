"""What is held, erased, forgotten and no longer kept: on DuckDB, by the statements themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from dbt.exceptions import CompilationError

from tests.unit.activity_schema.rendering import Renderer
from tests.unit.governance.account import Account

ADA, BOB = "ada@example.com", "bob@example.com"
TABLES = """
    create table events (_activity_id varchar, customer varchar, activity varchar, ts timestamp,
        _source_system varchar, _landed_at timestamp, activity_occurrence bigint,
        activity_repeated_at timestamp);
    create table landing (id varchar, kind varchar, payload json, source_file varchar,
        source_offset bigint, landed_at timestamp, landed_by varchar);
    create table _ingest_ids (landing_id varchar, id varchar, kind varchar, source_file varchar,
        source_offset bigint, landed_at timestamp);
    create table erasures (erasure_id varchar, customer_hash varchar, erased_at timestamp,
        hash_key varchar);
    create table insight_atoms (insight_id varchar, customer varchar, subject varchar,
        metric varchar, provenance_query_hash varchar, _landed_at timestamp, _judged_by varchar);
    create table provenance_chain (query_run_id varchar, query_hash varchar, artifact_id varchar,
        params json, customer varchar, executed_at timestamp);
    create table artifacts (artifact_id varchar, customer varchar, has_legal_hold boolean,
        _landed_at timestamp, expires_at timestamp);
    create table quarantined_events (customer varchar, raw varchar, landed_at timestamp);
    create table context_cache (customer varchar, _as_of_day date, updated_at timestamp);
"""


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        for statement in TABLES.split(";"):
            opened.execute(statement)
        yield opened


@pytest.fixture
def local(on_duckdb: Renderer, connection: duckdb.DuckDBPyConnection) -> Account:
    return Account(on_duckdb, connection=connection)


def insert(local: Account, table: str, *rows: tuple[Any, ...]) -> None:
    assert local.connection is not None
    marks = ", ".join("?" for _ in rows[0])
    local.connection.executemany(f"insert into {table} values ({marks})", rows)


def kept(local: Account, table: str, column: str) -> list[Any]:
    assert local.connection is not None
    found = local.connection.execute(f"select {column} from {table}").fetchall()
    return sorted((row[0] for row in found), key=str)


def told(local: Account, what: str) -> Any:
    """What the operation has said of itself last, as JSON."""
    found = [one for one in local.told if one.startswith(f"{what}: ")]
    return json.loads(found[-1].removeprefix(f"{what}: "))


def changes(local: Account) -> list[tuple[str, bool]]:
    """(verb, whether it belongs to a transaction) of what has run, the commit as one of them."""
    begun = iter(local.begun)
    return [(one.split()[0], True if one == "commit" else next(begun)) for one in local.ran]


# -- legal holds


def held(local: Account) -> list[tuple[str, str]]:
    return [(one["customer"], one["reason"]) for one in told(local, "held")]


def test_a_hold_is_placed_once_whatever_its_case_and_lifted(local: Account) -> None:
    local("legal_hold", customer=ADA, reason="case 1")
    local("legal_hold", customer=BOB)
    local("legal_hold", customer=ADA.upper(), reason="case '2'")
    assert held(local) == [(ADA.upper(), "case '2'"), (BOB, "")]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d .*", told(local, "held")[0]["placed_at"])
    local("legal_hold")
    assert len(held(local)) == 2, "without a customer it only tells"
    insert(local, "legal_holds", (None, "nobody", None))
    local("legal_hold", customer=ADA, lift=True)
    assert held(local) == [(BOB, "")]
    local.ran.clear(), local.begun.clear()
    local("legal_hold", customer=ADA, reason="again")
    assert changes(local) == [
        ("create", False), ("delete", True), ("insert", True), ("select", True), ("commit", True),
    ]  # fmt: skip


@pytest.mark.parametrize("operation", ["legal_hold", "erase", "forget_histories"])
def test_a_customer_is_a_text_of_255_characters_at_most(local: Account, operation: str) -> None:
    assert local.connection is not None
    local("create_legal_holds")
    local(operation, customer="x" * 255)
    for wrong in ("x" * 256, "", 5, ["x"]):
        with pytest.raises(CompilationError, match=f"{operation}: customer is "):
            local(operation, customer=wrong)
    if operation != "legal_hold":
        with pytest.raises(CompilationError, match=f"{operation}: customer is None; allowed"):
            local(operation)


def test_a_hold_is_lifted_by_true_or_not_at_all(local: Account) -> None:
    with pytest.raises(CompilationError, match="lift is yes; allowed: true, false"):
        local("legal_hold", customer=ADA, lift="yes")


def test_who_is_held_is_known_whatever_else_stands_in_the_list(local: Account) -> None:
    assert local.connection is not None
    local("create_legal_holds")

    def is_held(customer: str) -> Any:
        assert local.connection is not None
        sql = local("customer_is_held", customer)
        return local.connection.execute(f"select {sql}").fetchall()[0][0]

    assert is_held(f"'{ADA}'") is False
    insert(local, "legal_holds", (None, "", None))
    assert is_held(f"'{ADA}'") is False
    insert(local, "legal_holds", (ADA.upper(), "", None))
    assert is_held(f"'{ADA}'") is True
    assert is_held(f"'{BOB}'") is False


# -- erasing


def test_every_table_with_customers_is_one_to_erase_from(local: Account) -> None:
    assert local.connection is not None
    local.connection.execute("attach ':memory:' as other; create schema beside")
    for sql in (
        "create table other.in_another_file (customer varchar)",
        "create table beside.in_another_schema (customer varchar)",
        "create table without (customers varchar)",
        "create view shown as select customer from events",
    ):
        local.connection.execute(sql)
    assert local("_found_tables_of_customers") == [
        "artifacts", "context_cache", "events", "insight_atoms", "provenance_chain",
        "quarantined_events",
    ]  # fmt: skip
    described = {
        "events": {"kind": "table", "columns": [{"name": "ts"}, {"name": "customer"}]},
        "shown": {"kind": "view", "columns": [{"name": "customer"}]},
        "prices": {"kind": "table", "columns": [{"name": "customers"}]},
    }
    assert local("_tables_of_customers", described) == ["events"]


def test_an_erasure_takes_one_customers_rows_and_remembers_when(local: Account) -> None:
    local("create_legal_holds")
    for number, customer in enumerate((ADA, BOB)):
        payload = json.dumps({"customer": customer})
        at = "2026-01-01"
        insert(
            local, "events",
            *((f"e{n}", customer, "a", at, "x", at, n, None) for n in (10 * number, 10 * number + 1)),
        )  # fmt: skip
        insert(local, "landing", (f"e{10 * number}", "event", payload, "f", number, at, None))
        insert(
            local, "_ingest_ids",
            (f"e{10 * number}", f"e{10 * number}", "event", "f", number, at),
            ("gone", f"e{10 * number + 1}", "event", "g", number, at),
        )  # fmt: skip
        insert(local, "quarantined_events", (customer, "{", at), (None, payload, at))
    insert(local, "quarantined_events", (None, f"torn {ADA}", "2026-01-01"))
    insert(local, "legal_holds", ("cy@example.com", "", None))
    local.ran.clear(), local.begun.clear()
    local("erase", customer=ADA, erased_at="2026-02-03T04:05:06.123456Z")
    assert told(local, "erased") == {
        "_ingest_ids": 2, "artifacts": 0, "context_cache": 0, "events": 2, "insight_atoms": 0,
        "landing": 1, "provenance_chain": 0, "quarantined_events": 3,
    }  # fmt: skip
    assert kept(local, "events", "_activity_id") == ["e10", "e11"]
    assert kept(local, "_ingest_ids", "id") == ["e10", "e11"]
    assert len(kept(local, "quarantined_events", "raw")) == 2
    assert kept(local, "erasures", "cast(erased_at as varchar)") == ["2026-02-03 04:05:06.123456"]
    verbs = [(verb, begun) for verb, begun in changes(local) if verb != "select"]
    assert verbs[:2] == [("create", False), ("insert", False)], "the customer, bound"
    assert {begun for verb, begun in verbs[2:]} == {True}, "one transaction"
    assert local.ran[-1] == "commit"
    assert kept(local, "legal_holds", "customer") == ["cy@example.com"]
    local("erase", customer=ADA)
    assert told(local, "erased")["events"] == 0, "it can be run again"
    [first, now] = sorted(kept(local, "erasures", "erased_at"))
    assert now > first


def test_an_erasure_is_refused_under_a_hold(local: Account) -> None:
    assert local.connection is not None
    insert(local, "events", ("e", ADA, "a", None, "x", None, 1, None))
    local("legal_hold", customer=ADA.upper())
    with pytest.raises(CompilationError, match=rf"{ADA} is under legal hold \(a row in"):
        local("erase", customer=ADA)
    local("legal_hold", customer=ADA, lift=True)
    local.connection.execute(
        f"create table artifact_retention as select '{ADA}' as customer, true as is_held "
        f"union all select '{ADA}', false union all select '{BOB}', false"
    )
    with pytest.raises(CompilationError, match=r"\(1 stored results are held\); lift the hold"):
        local("erase", customer=ADA)
    assert kept(local, "events", "_activity_id") == ["e"]
    local("erase", customer=BOB)
    assert kept(local, "events", "_activity_id") == ["e"]


def test_what_is_deleted_is_counted_by_table_in_one_transaction(on_snowflake: Renderer) -> None:
    account = Account(
        on_snowflake,
        answers={"^delete from a$": [{"n": 2}], "^delete from a w": [{"n": 3}], "from c": []},
        relations={"a", "b", "c"},
    )
    statements = [
        ("a", "delete from a"), ("gone", "delete from gone"), ("a", "delete from a where x"),
        ("b", "update b"), ("c", "delete from c"),
    ]  # fmt: skip
    assert account("_run_deletes", statements) == {"a": 5, "c": 0}
    assert account.ran == [
        "begin", "delete from a", "delete from a where x", "update b", "delete from c", "commit",
    ]  # fmt: skip
    assert account.begun == [False, True, True, True, True, False]


# -- forgetting


def test_what_came_from_histories_goes_with_what_rests_on_it(local: Account) -> None:
    """Captured on the second day: a query of before rests on nothing, one of after on all that it
    doesn't leave out by naming other activities.
    """
    local("create_legal_holds")
    days = [f"2026-01-0{day}" for day in range(1, 6)]
    for customer, mark in ((ADA, ""), (BOB, "b-")):
        insert(
            local, "events",
            (f"{mark}own", customer, "cdesk.a", days[0], "claude_desktop", days[0], 1, days[1]),
            (f"{mark}captured", customer, "cdesk.a", days[1], "claude_code", days[1], 2, days[2]),
            (f"{mark}later", customer, "cdesk.a", days[2], "claude_desktop", days[2], 3, None),
            (f"{mark}export", customer, "cdesk.b", days[1], "claude_export", days[0], 1, None),
        )  # fmt: skip
        insert(
            local, "provenance_chain",
            (f"{mark}before", "h0", None, '{"of": "cdesk.a"}', customer, days[0]),
            (f"{mark}naming", "h1", f"{mark}result", '{"of": "cdesk.a"}', customer, days[1]),
            (f"{mark}naming others", "h2", None, '{"of": "cdesk.b"}', customer, days[3]),
            (f"{mark}of all", "h3", None, "{}", customer, days[3]),
        )  # fmt: skip
        insert(
            local, "insight_atoms",
            (f"{mark}drawn", customer, "s", "m", "h1", days[2], "x"),
            (f"{mark}drawn before", customer, "s", "m", "h1", days[0], "x"),
            (f"{mark}of others", customer, "s", "n", "h2", days[3], "x"),
        )  # fmt: skip
        insert(local, "artifacts", (f"{mark}result", customer, False, days[1], days[4]))
        insert(local, "context_cache", (customer, days[4], days[4]))
        for number, source in enumerate(("claude_code", "claude_desktop")):
            payload = json.dumps({"customer": customer, "source_system": source})
            line = (f"{mark}{source}", f"{mark}f", number, days[1])
            insert(local, "landing", (line[0], "event", payload, *line[1:], None))
            insert(local, "_ingest_ids", (line[0], line[0], "event", *line[1:]))
            insert(local, "quarantined_events", (customer, payload, days[1]))
    local.ran.clear(), local.begun.clear()
    local("forget_histories", customer=ADA)
    assert sorted(told(local, "rested")) == ["h1", "h3"]
    assert told(local, "erased") == {
        "_ingest_ids": 1, "artifacts": 1, "events": 1, "insight_atoms": 1, "landing": 1,
        "provenance_chain": 2, "quarantined_events": 1,
    }  # fmt: skip

    def of_ada(table: str, column: str) -> list[Any]:
        return [one for one in kept(local, table, column) if not str(one).startswith("b-")]

    numbers = "_activity_id || ' ' || activity_occurrence || ' ' || coalesce(cast(activity_repeated_at as varchar)[:10], '')"
    assert of_ada("events", numbers) == ["export 1 ", "later 2 ", f"own 1 {days[2]}"]
    assert of_ada("provenance_chain", "query_run_id") == ["before", "naming others"]
    assert of_ada("insight_atoms", "insight_id || ':' || _judged_by") == [
        "drawn before:", "of others:x",
    ]  # fmt: skip
    assert of_ada("artifacts", "artifact_id") == []
    assert of_ada("landing", "id") == of_ada("_ingest_ids", "id") == ["claude_desktop"]
    for table, own in (("events", 4), ("provenance_chain", 4), ("insight_atoms", 3),
                       ("artifacts", 1), ("landing", 2), ("_ingest_ids", 2)):  # fmt: skip
        column = (
            {"artifacts": "artifact_id", "landing": "id", "_ingest_ids": "id"}.get(
                table, f"case when customer = '{BOB}' then 'b-' else '' end"
            )
            if table not in ("events",)
            else "_activity_id"
        )
        assert len([one for one in kept(local, table, column) if one.startswith("b-")]) == own
    days_of = dict(
        local.connection.execute("select customer, _as_of_day from context_cache").fetchall()  # type: ignore[union-attr]
    )
    assert (str(days_of[BOB]) == days[4], str(days_of[ADA]) == days[4]) == (True, False)


def test_nothing_is_forgotten_while_a_line_waits_for_a_build(local: Account) -> None:
    local("create_legal_holds")
    insert(local, "_ingest_ids", ("known", "known", "event", "f", 0, "2026-01-02"))
    for id_, customer in (("known", ADA), ("waits", ADA), ("waits", BOB)):
        payload = json.dumps({"customer": customer})
        insert(local, "landing", (id_, "event", payload, "f", 0, "2026-01-02", None))
    with pytest.raises(CompilationError, match=f"1 lines of {ADA} have landed since the last"):
        local("forget_histories", customer=ADA)


def test_sources_are_those_of_histories(local: Account) -> None:
    with pytest.raises(CompilationError, match="claude_desktop"):
        local("forget_histories", customer=ADA, sources=["claude_code", "claude_desktop"])
    local.ran.clear()
    local("forget_histories", customer=ADA, sources=[])
    assert local.ran == [], "of none nothing goes"


def test_a_dry_run_shows_what_would_go(local: Account) -> None:
    for operation in ("erase", "forget_histories"):
        printed = local.dry(operation, customer=ADA)
        assert any(one.startswith('delete from "memory"."main"."landing"') for one in printed)
        assert local.told == []


# -- retention


def old(days: float) -> str:
    return f"(now() at time zone 'UTC') - to_seconds({round(days * 86_400)})"


def rows_of_age(local: Account) -> None:
    """Everything half a day before and half a day past its time, of one who is held and one who
    isn't.
    """
    assert local.connection is not None
    for who in (ADA, "held@example.com"):
        for days in (179.5, 180.5):
            name = f"{who[:3]} {days}"
            for sql in (
                f"insert into events (_activity_id, customer, _landed_at) values ('{name}', '{who}', {old(days)})",
                f"insert into landing (id, kind, payload, landed_at) values ('{name}', 'event', "
                f"'{{\"customer\": \"{who}\"}}', {old(days)}), ('{name}', 'insight', "
                f'\'{{"customer": "{who}"}}\', {old(days)})',
                f"insert into quarantined_events values ('{who}', '{name}', {old(days)})",
            ):
                local.connection.execute(sql)
        for landed, expired, flag in (
            (90.5, 30.5, False), (89.5, 30.5, False), (90.5, 29.5, False), (90.5, 30.5, True),
        ):  # fmt: skip
            name = f"{who[:3]} {landed} {expired} {flag}"
            local.connection.execute(
                f"insert into artifacts values ('{name}', '{who}', {flag}, {old(landed)}, {old(expired)})"
            )
            local.connection.execute(
                f"insert into landing (id, kind, landed_at) values ('{name}', 'artifact', {old(landed)})"
            )
    local.connection.execute(
        f"insert into quarantined_events values (null, 'of nobody', {old(180.5)})"
    )
    local.connection.execute(
        f"insert into context_cache values ('{ADA}', '2026-01-01', {old(1)}), "
        f"('cy', '2026-01-01', {old(180.5)})"
    )


def test_what_is_old_goes_but_of_nobody_who_is_held(local: Account) -> None:
    rows_of_age(local)
    local("legal_hold", customer="HELD@example.com")
    local.ran.clear(), local.begun.clear()
    local("apply_retention")
    assert kept(local, "events", "_activity_id") == ["ada 179.5", "hel 179.5", "hel 180.5"]
    assert kept(local, "quarantined_events", "raw") == [
        "ada 179.5", "hel 179.5", "hel 180.5", "of nobody",
    ]  # fmt: skip
    spared = ["ada 89.5 30.5 False", "ada 90.5 29.5 False", "ada 90.5 30.5 True"]
    of_held = sorted(f"hel {one}" for one in ("89.5 30.5 False", "90.5 29.5 False",
                                              "90.5 30.5 False", "90.5 30.5 True"))  # fmt: skip
    assert kept(local, "artifacts", "artifact_id") == [*spared, *of_held]
    assert kept(local, "landing", "kind || ' ' || id") == [
        *(f"artifact {one}" for one in (*spared, *of_held)),
        *(f"event {one}" for one in ("ada 179.5", "hel 179.5", "hel 180.5")),
        *(f"insight {one}" for one in ("ada 179.5", "ada 180.5", "hel 179.5", "hel 180.5")),
    ]
    assert kept(local, "context_cache", "customer") == [ADA]
    assert str(kept(local, "context_cache", "_as_of_day")) != "[datetime.date(2026, 1, 1)]"
    assert told(local, "retained") == {"deleted": 6}
    begun = [one for one in changes(local) if one[0] in ("update", "delete")]
    assert begun == [("update", True), *[("delete", True)] * 8]
    assert local.ran[-1] == "commit"
    local("legal_hold", customer="held@example.com", lift=True)
    local("apply_retention")
    assert "of nobody" not in kept(local, "quarantined_events", "raw")
    assert kept(local, "events", "_activity_id") == ["ada 179.5", "hel 179.5"]


def test_where_nothing_is_built_nothing_goes(on_duckdb: Renderer) -> None:
    empty = Account(on_duckdb)
    empty("apply_retention")
    assert empty.ran == []
    silent = Account(on_duckdb, relations={"events"}, answers={"delete from": []})
    silent("apply_retention")
    assert told(silent, "retained") == {"deleted": 0}
