"""The outcome of a full and an incremental `dbt build` with the real adapter."""

from __future__ import annotations

import re

import pytest

from tests.integration.snowflake.account import FakeAccount
from tests.integration.snowflake.dbt_process import Dbt
from tests.integration.snowflake.sqlfluff_parse import unparsable


def test_every_data_test_passes(built: Dbt) -> None:
    result = built(
        "test"
        # without unit tests, which the project turns off here: `dbt build` alone is what a person runs
    )
    assert result.ok, "\n".join(result.failures)
    assert result.ran > 100


@pytest.mark.usefixtures("built")
def test_sqlfluff_parses_what_was_made_and_merged(account: FakeAccount) -> None:
    """Every statement that makes a relation or writes to one, as it went over the wire."""
    made = {
        # The loader's statements carry binds, for which sqlfluff's grammar has no place in a cast.
        re.sub(r"/\*.*?\*/", "", s["sql"], flags=re.DOTALL)
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
