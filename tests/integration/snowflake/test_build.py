"""The outcome of a full and an incremental `dbt build` with the real adapter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.integration.snowflake.account import ROOT, FakeAccount
from tests.integration.snowflake.dbt_process import Dbt
from tests.integration.snowflake.scans import unbounded
from tests.integration.snowflake.statement_forms import (
    form_of,
    forms,
    in_python,
    is_checked,
    printed,
    readings,
    without_form,
)
from tests.sqlfluff_parse import unparsable


def views_in(statements: list[str]) -> Iterator[tuple[str, str]]:
    """The name and the query of each view that was made, in the order of the statements."""
    for sql in statements:
        bare = re.sub(r"/\*.*?\*/", "", sql, flags=re.DOTALL)
        if found := re.match(r"\s*create or replace view \S*\.(\w+)\s", bare, re.IGNORECASE):
            _, _, query = bare.partition("as (")
            yield found[1].lower(), query[: query.rindex(")")]


def _without(found: re.Match[str]) -> str:
    return "" if found[0].startswith("/") else "''"


def test_every_data_test_passes(built: Dbt) -> None:
    result = built(
        "test"
        # without unit tests, which the project turns off here: `dbt build` alone is what a person
        # runs
    )
    assert result.ok, "\n".join(result.failures)
    assert result.ran > 100


@pytest.mark.usefixtures("built")
def test_sqlfluff_parses_what_was_made_and_merged(account: FakeAccount) -> None:
    """Every statement that makes a relation or writes to one, as it went over the wire."""
    made = {
        # The loader's statements carry binds, for which sqlfluff's grammar has no place in a cast;
        # the second build's differ from the first's by an instant.
        re.sub(r"/\*.*?\*/|'[\d-]+ [\d:.]+'", _without, s["sql"], flags=re.DOTALL)
        .strip()
        .replace("cast(? as", "cast('' as")
        for s in account.statements()
        if re.match(
            r"\s*(create or replace|merge|insert into CLAUDE_LOGS|delete from CLAUDE_LOGS)",
            s["sql"],
            re.IGNORECASE,
        )
        and "__dbt_tmp" not in s["sql"].split("\n", 1)[0]
    }
    relations = {
        re.search(r"ACTIVITIES\.(\w+)", sql)[1].lower() for sql in made if "ACTIVITIES." in sql
    }  # type: ignore[index]
    assert {
        "events",
        "events_live",
        "context_cache",
        "insight_atoms",
        "_ingest_ids",
        "vw_sql_events",
    } <= relations
    assert {sql[:80]: bad for sql in made if (bad := unparsable(sql))} == {}


def test_sql_events_carry_what_the_warehouse_says_of_their_query(
    account: FakeAccount, built: Dbt
) -> None:
    assert built.manifest().exists()
    connection = account.connect()
    cursor = connection.cursor()
    tag = "cdesk_1a2b3c4d"  # that of the records
    cursor.execute(f"alter session set query_tag = '{tag}'")
    for _ in range(3):
        cursor.execute("select 1")
    cursor.execute("alter session unset query_tag")
    cursor.execute(
        "select activity, warehouse_seconds, bytes_scanned, credits from vw_sql_events order by activity"
    )
    found = cursor.fetchall()
    connection.close()
    completed = [row for row in found if row[0] == "cdesk.sql_completed"]
    assert completed
    assert all(row[2] >= 3000 and row[3] > 0 and row[1] >= 0 for row in completed)


_WHOLE = re.compile(
    r"coalesce\(\s*typeof\((?P<value>(?:[^()]|\([^()]*\))*)\) = 'INTEGER'.*?,\s*false\s*\)",
    re.DOTALL,
)


@pytest.mark.usefixtures("built")
def test_an_integer_that_snowflake_calls_decimal_is_one(account: FakeAccount) -> None:
    """https://docs.snowflake.com/en/sql-reference/functions/typeof"""
    checked = next(
        found
        for s in account.statements()
        if "_ingest_ids" in s["sql"] and (found := _WHOLE.search(s["sql"]))
    )
    sql = checked[0].replace(f"typeof({checked['value']})", "'DECIMAL'")
    sql = sql.replace(checked["value"], "said")
    with account.connect() as connection:
        for said, is_whole in (("5", True), ("-12", True), ("5.0", False), ("1e3", False)):
            found = connection.cursor().execute(f"select {sql} from (select '{said}' as said)")
            assert found.fetchall() == [(is_whole,)], said


def test_a_build_looks_for_its_newest_rows_behind_a_mark(account: FakeAccount, built: Dbt) -> None:
    """Under a row access policy a `max(…)` reads the whole column."""
    connection = account.connect()
    cursor = connection.cursor()

    def looked() -> tuple[list[str], str]:
        """What a refresh of events_live asked, and the bound that it wrote."""
        mark = len(account.statements())
        assert built("run", "--select", "events_live").ok
        sent = [" ".join(s["sql"].split()) for s in account.statements(mark)]
        (view,) = (sql for sql in sent if "create or replace view" in sql)
        bound = re.search(r"landed_at >= cast\('([\d :.-]+)' as timestamp_ntz\)", view)
        assert bound is not None
        return [sql for sql in sent if re.match(r"select to_char\(", sql)], bound[1]

    asked, bound = looked()
    of_events = [sql for sql in asked if "ACTIVITIES.events " in sql]
    assert of_events
    assert all(re.search(r"where _landed_at >= cast\('", sql) for sql in of_events)
    assert not [sql for sql in asked if "ACTIVITIES._ingest_ids" in sql], "the oldest is noted"
    cursor.execute("create or replace temporary table noted as select * from build_marks")
    # a table that was put back holds nothing behind the mark
    cursor.execute("update build_marks set instant = '2026-02-01' where mark = 'newest in events'")
    assert looked()[1] == bound
    cursor.execute("delete from build_marks where true")
    assert looked()[1] == bound
    cursor.execute("insert into build_marks select * from noted")
    connection.close()


READS_HISTORY = {"imported_records"}
"""Asked once, after an import's index was lost, about all that ever landed."""


def test_no_live_question_reads_all_of_landing(account: FakeAccount, compiled: Dbt) -> None:
    """By the newest build's literal, in each view and template as it was compiled."""
    made = list(views_in([s["sql"] for s in account.statements()]))
    bounds = [
        re.findall(r"landed_at >=\s*cast\('([\d :.-]+)' as timestamp_ntz\)", sql)
        for name, sql in made
        if name == "events_live"
    ]
    assert len(bounds) >= 2
    assert bounds[0] < bounds[-1]  # renewed by a build
    views = dict(made)
    assert {"events_live", "unstored_activities", "stg_events"} <= views.keys()
    nodes = json.loads(compiled.manifest().read_text(encoding="utf-8"))["nodes"].values()
    templates = {
        node["name"]: re.sub(r"\?/\*\w+\*/", "?", node["compiled_code"])
        for node in nodes
        if node["resource_type"] == "analysis"
    }
    assert len(templates) > 40
    live = [name for name, sql in templates.items() if "events_live" in sql]
    assert "data_fingerprint" not in live
    assert len(live) > 5
    found = {
        name: paths
        for name, sql in templates.items()
        if (paths := unbounded(sql, "landing", "landed_at", views))
    }
    assert found.keys() == READS_HISTORY, found


@pytest.mark.parametrize(
    ("where", "is_whole"),
    [
        ("l.landed_at >= cast('2026-01-01 00:00:00' as timestamp)", False),
        ("l.landed_at >= (select max(e._landed_at) from events as e)", True),
        ("l.landed_at >= cast('2026-01-01 00:00:00' as timestamp) or l.kind = 'x'", True),
        ("l.kind = 'event'", True),
    ],
)
def test_a_bound_by_a_subquery_is_a_scan_of_everything(where: str, is_whole: bool) -> None:
    views = {"lines": "select * from (select * from a.b.landing) as l where " + where}
    paths = unbounded(
        "with x as (select * from lines) select * from x", "landing", "landed_at", views
    )
    assert bool(paths) == is_whole
    assert set(paths) <= {"lines > landing"}


@pytest.mark.usefixtures("built")
def test_every_statement_that_was_sent_has_a_form_with_its_page(account: FakeAccount) -> None:
    sent = {s["sql"] for s in account.statements() if s["sql"] != "login"}
    assert len(sent) > 200
    missing = without_form(sent | printed() | in_python())
    assert missing == [], "\n".join(missing)
    used = {form_of(statement) for statement in sent | printed() | in_python()}
    idle = {form.text for form in forms() if form not in used}
    # sent by other tests of this folder, by a build after a failure, or by dbt for a person
    assert idle <= {
        "create or replace temporary table … as …",
        "drop table if exists …",
        "insert into … values …",
        "alter user … unset …",
        "show authentication policies like … in account",
        "show parameters like … in …",
        "show … like …",
        "show streams like … in schema …",
        "truncate table …",
        "with … select …",
    }
    assert [form.text for form in forms() if not is_checked(form)] == []


def test_what_rests_on_reading_alone_is_listed_with_what_shows_it_on_an_account() -> None:
    listed = {form for claim in readings() for form in claim.forms}
    resting = {form.text for form in forms() if re.search(r"\b(accepted|read)\b", form.how)}
    assert resting == listed
    live = set(
        re.findall(r"(?m)^def (test_\w+)", (ROOT / "tests/live/test_account.py").read_text("utf-8"))
    )
    for claim in readings():
        assert claim.tests <= live, claim.text
        assert claim.tests or "By hand." in claim.text, claim.text
    said = " ".join(claim.text for claim in readings())
    for operation in ("service user", "GENERIC", "cloned schema"):
        assert operation in said


def test_a_statement_of_no_form_is_told() -> None:
    assert without_form(["undrop table landing"]) == ["undrop table landing"]
    assert form_of("grant role A to user B") != form_of("grant usage on schema A to role B")
