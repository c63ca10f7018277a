"""Setting an account up, governing it, doing it again: on the fake account, and as text through sqlfluff's snowflake dialect."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.snowflake.account import FakeAccount
from tests.integration.snowflake.dbt_process import Dbt
from tests.integration.snowflake.sqlfluff_parse import unparsable

SNAPSHOTS = Path(__file__).parent / "dry_runs"
OPERATIONS: dict[str, dict[str, Any]] = {
    "setup_snowflake": {},
    "apply_row_access": {},
    "apply_masking": {},
    "apply_resource_monitors": {"account_monthly_credits": 200},
    "apply_retention": {},
    "apply_streams_tasks": {},
    "teardown": {"drop_data": True},
}
SCHEMA = "CLAUDE_LOGS.ACTIVITIES"


def test_the_dry_run_prints_what_the_snapshot_holds_and_touches_nothing(
    dbt: Dbt, account: FakeAccount
) -> None:
    """UPDATE_SNAPSHOTS=1 writes them anew."""
    before = len(account.statements())
    for operation, arguments in OPERATIONS.items():
        result = dbt.operation(operation, dry_run=True, **arguments)
        assert result.ok, result.failures
        file = SNAPSHOTS / f"{operation}.sql"
        if os.environ.get("UPDATE_SNAPSHOTS"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(result.printed, encoding="utf-8")
        assert result.printed == file.read_text(encoding="utf-8"), operation
    assert len(account.statements()) == before


def test_sqlfluff_parses_every_dry_run_statement() -> None:
    found = [
        s
        for file in SNAPSHOTS.glob("*.sql")
        for s in file.read_text(encoding="utf-8").split(";\n\n")
        if s.strip()
    ]
    assert len(found) > 80
    assert {statement[:80]: bad for statement in found if (bad := unparsable(statement))} == {}


def test_sqlfluff_rejects_a_broken_policy() -> None:
    body = (SNAPSHOTS / "apply_masking.sql").read_text(encoding="utf-8")
    good = next(part for part in body.split(";\n\n") if "mask_document as (value variant)" in part)
    assert unparsable(good) == []
    assert unparsable(good.replace("returns variant ->", "returns variant -> -> when"))
    assert unparsable(good.replace(" then value", " value", 1))
    rows = (SNAPSHOTS / "apply_row_access.sql").read_text(encoding="utf-8").split(";\n\n")[0]
    assert unparsable(rows) == []
    assert unparsable(rows.replace("exists (", "exists ", 1))


def test_nothing_is_built_before_the_policies_are_there_and_the_error_says_what_to_run(
    refusals: dict[str, str],
) -> None:
    problems = (
        "is not set up",
        "policies of apply_row_access are not there",
        "policies of apply_masking are not there",
    )
    for (operation, refusal), problem in zip(refusals.items(), problems, strict=True):
        assert problem in refusal
        assert f"dbt run-operation {operation} --target snowflake" in refusal


@pytest.mark.usefixtures("built")
def test_every_relation_with_customer_has_its_policy_from_its_first_moment(account: FakeAccount) -> None:
    state = account.state()
    connection = account.connect()
    columns = connection.cursor().execute(
        "select table_name, column_name from information_schema.columns where table_schema = 'ACTIVITIES'"
    )
    by_table: dict[str, set[str]] = {}
    for table, column in columns.fetchall():
        by_table.setdefault(table, set()).add(column.upper())
    connection.close()
    assert len(by_table) > 20
    open_to_all = {"ACTIVITY_VOCABULARY", "SLO_TARGETS", "APPLIED_SETUP"}
    for table, names in by_table.items():
        policy, column = state["row_access"].get(f"{SCHEMA}.{table}", (None, None))
        if table in ("CUSTOMER_ACCESS", "LEGAL_HOLDS"):
            assert policy == f"{SCHEMA}.INTERNAL_ROWS", table
        elif "CUSTOMER" in names:
            assert (policy, column) == (f"{SCHEMA}.CUSTOMER_ROWS", "CUSTOMER"), table
        elif table not in open_to_all and not table.startswith("OBS_"):
            assert policy == f"{SCHEMA}.INTERNAL_ROWS", table
    made = [
        s["sql"]
        for s in account.statements()
        if re.search(r"create or replace (transient )?(table|view) \S*\bevents\b", s["sql"])
    ]
    assert made
    assert all("with row access policy" in sql for sql in made)


@pytest.mark.usefixtures("built")
def test_every_document_column_is_masked(account: FakeAccount) -> None:
    masking = account.state()["masking"]
    connection = account.connect()
    found = connection.cursor().execute(
        "select table_name, column_name, data_type from information_schema.columns where table_schema = 'ACTIVITIES'"
    )
    documents = [
        (table, column)
        for table, column, type_ in found.fetchall()
        if type_ in ("VARIANT", "OBJECT", "ARRAY")
    ]
    connection.close()
    assert len(documents) >= 8
    for table, column in documents:
        assert f"{SCHEMA}.{table}.{column}" in masking, (table, column)
    for column in (
        "EVENTS.LINK",
        "CONTEXT_CACHE.CONTEXT",
        "INSIGHT_ATOMS.VALUE_TEXT",
        "ARTIFACTS.URI",
        "QUARANTINED_EVENTS.RAW",
    ):
        assert f"{SCHEMA}.{column}" in masking


def test_applying_again_leaves_what_is_right_alone_and_exchanges_what_is_wrong(
    account: FakeAccount, built: Dbt
) -> None:
    before = account.state()
    mark = len(account.statements())
    for operation in ("setup_snowflake", "apply_row_access", "apply_masking"):
        result = built.operation(operation)
        assert result.ok, result.failures
    attached = [s["sql"] for s in account.statements(mark) if "add row access policy" in s["sql"]]
    assert attached == []
    assert account.state()["row_access"] == before["row_access"]
    assert account.state()["masking"] == before["masking"]
    connection = account.connect()
    connection.cursor().execute(
        f"alter table events drop row access policy {SCHEMA}.customer_rows, "
        f"add row access policy {SCHEMA}.internal_rows on (customer)"
    )
    mark = len(account.statements())
    assert built.operation("apply_row_access").ok
    exchanged = [s["sql"] for s in account.statements(mark) if "add row access policy" in s["sql"]]
    connection.close()
    assert len(exchanged) == 1
    assert "drop row access policy" in exchanged[0]  # in the same statement: no moment without
    assert account.state()["row_access"] == before["row_access"]


def test_a_relation_that_lost_its_policy_fails_a_data_test(account: FakeAccount, built: Dbt) -> None:
    assert built("test", "--select", "every_relation_is_guarded").ok
    connection = account.connect()
    connection.cursor().execute(f"alter table insight_atoms drop row access policy {SCHEMA}.customer_rows")
    failed = built("test", "--select", "every_relation_is_guarded")
    assert not failed.ok
    assert built.operation("apply_row_access").ok
    connection.cursor().execute(
        f"alter table {SCHEMA}.context_cache modify column context unset masking policy"
    )
    assert not built("test", "--select", "every_relation_is_guarded").ok
    assert built.operation("apply_masking").ok
    assert built("test", "--select", "every_relation_is_guarded").ok
    connection.close()


def test_changed_policy_text_stops_a_build_until_it_is_applied(account: FakeAccount, built: Dbt) -> None:
    connection = account.connect()
    connection.cursor().execute(
        f"update {SCHEMA}.applied_setup set fingerprint = 'older' where step = 'apply_masking'"
    )
    connection.close()
    result = built("run", "--select", "vw_tool_events")
    assert not result.ok
    assert "of another version" in " ".join(result.failures)
    assert built.operation("apply_masking").ok
    assert built("run", "--select", "vw_tool_events").ok


def test_a_full_refresh_outside_development_is_refused(built: Dbt) -> None:
    result = built("run", "--select", "events", "--full-refresh")
    assert not result.ok
    assert "allow_full_refresh" in " ".join(result.failures)


@pytest.mark.parametrize(
    ("operation", "arguments", "problem"),
    [
        (
            "apply_retention",
            {"events_days": 179},
            "events_days is 179; allowed: a whole number of at least 180",
        ),
        (
            "apply_retention",
            {"artifacts_days": 30},
            "artifacts_days is 30; allowed: a whole number of at least 90",
        ),
        ("apply_resource_monitors", {"daily_credits": 0}, "daily credits are 0; allowed"),
        ("apply_streams_tasks", {"every_seconds": 1}, "every_seconds is 1; allowed"),
        ("teardown", {}, "say so with --args '{confirm: CLAUDE_LOGS}'"),
        ("teardown", {"confirm": "yes"}, "say so with --args '{confirm: CLAUDE_LOGS}'"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(
    dbt: Dbt, operation: str, arguments: dict[str, Any], problem: str
) -> None:
    result = dbt.operation(operation, **arguments)
    assert not result.ok
    assert problem in result.printed


def test_each_model_carries_its_own_tag_and_the_session_gets_its_own_back(
    account: FakeAccount, built: Dbt
) -> None:
    mark = len(account.statements())
    assert built("run", "--select", "vw_tool_events", "vw_file_events").ok
    ran = account.statements(mark)
    tags = {s["tag"] for s in ran if s["sql"].lstrip().lower().startswith("create or replace view")}
    assert len(tags) == 2
    assert all(re.fullmatch(r"cdesk_[0-9a-f]{8}", tag) for tag in tags)
    assert sum("alter session unset query_tag" in s["sql"] for s in ran) == 2


def test_retention_and_tasks_are_applied_as_often_as_asked(built: Dbt) -> None:
    """With a retention that spares the records of the other tests."""
    long: dict[str, object] = {"events_days": 36_500, "artifacts_days": 36_500}
    for operation, arguments in (
        ("apply_retention", long),
        ("apply_streams_tasks", {}),
        ("apply_resource_monitors", {}),
    ):
        for _ in range(2):
            result = built.operation(operation, **arguments)
            assert result.ok, result.failures


def test_a_legal_hold_wins_over_retention(account: FakeAccount, built: Dbt) -> None:
    """The deletes that the macro prints, on tables of their own with old rows."""
    printed = built.operation("apply_retention", dry_run=True).statements
    deletes = [
        statement.replace(SCHEMA, "RETENTION.OLD")
        for statement in printed
        if statement.startswith("delete from")
    ]
    assert len(deletes) == 4
    connection = account.connect(database="RETENTION", schema="OLD")
    cursor = connection.cursor()
    for table in (
        "legal_holds as select 'held' as customer",
        "events as select column1 as customer, column2::timestamp_ntz as _landed_at from values "
        "('held', '2020-01-01'), ('free', '2020-01-01'), ('free', '2099-01-01')",
        "landing as select column1 as id, 'event' as kind, parse_json(column2) as payload, '2020-01-01'::timestamp_ntz as landed_at "
        """from values ('1', '{"customer": "held"}'), ('2', '{"customer": "free"}')""",
        "quarantined_events as select '2020-01-01'::timestamp_ntz as landed_at",
        "artifacts as select column1 as customer, column2 as has_legal_hold, '2020-01-01'::timestamp_ntz as _landed_at, "
        "'2020-06-01'::timestamp_ntz as expires_at from values ('free', true), ('held', false), ('free', false)",
    ):
        cursor.execute(f"create table {table}")
    for delete in deletes:
        cursor.execute(delete)
    assert sorted(row[0] for row in cursor.execute("select customer from events").fetchall()) == [
        "free",
        "held",
    ]
    assert cursor.execute("select id from landing").fetchall() == [("1",)]
    assert sorted(cursor.execute("select customer, has_legal_hold from artifacts").fetchall()) == [
        ("free", True),
        ("held", False),
    ]
    connection.close()


def test_the_documentation_lists_every_privilege_and_operation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "snowflake.md").read_text(encoding="utf-8")
    granted = (SNAPSHOTS / "setup_snowflake.sql").read_text(encoding="utf-8")
    for privileges in re.findall(r"^grant ([a-z ,]+) on ", granted, re.MULTILINE):
        for privilege in privileges.split(", "):
            assert f"`{privilege}`" in page, privilege
    for operation in OPERATIONS:
        assert f"dbt run-operation {operation}" in page, operation
