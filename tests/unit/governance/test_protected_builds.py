"""What a build makes on Snowflake is guarded in the statement that makes it, and what its queries
cost is read from the account's own records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from dbt.exceptions import CompilationError

from tests.unit.governance.account import Account, Named, one_line

Made = Callable[..., Account]
EVENTS = Named("DB.PUBLIC.events")
ROWS = "with row access policy DB.PUBLIC.customer_rows on (customer)"
NOTE = "note varchar with masking policy DB.PUBLIC.mask_text"


class Config(dict[str, Any]):
    """A model's, as dbt hands it to a macro."""

    model = SimpleNamespace()

    def get(self, name: str, default: Any = None) -> Any:  # type: ignore[override]
        return super().get(name, default)


def build(
    account: Made,
    *own: str,
    config: dict[str, Any] | None = None,
    cluster_by: str | None = None,
    is_transient: bool = False,
) -> Account:
    """An account in which a query has these columns: text, or what follows a colon."""
    split = [one.partition(":") for one in own]
    given = {"contract": SimpleNamespace(enforced=False), **(config or {})}
    return account(
        columns=[f"{name.upper()} {kind or 'VARCHAR(16)'}" for name, _, kind in split],
        names={
            "config": Config(given),
            "model": {"columns": {}},
            "catalog_relation": SimpleNamespace(cluster_by=cluster_by, is_transient=is_transient),
            "get_column_schema_from_query": lambda _: [
                SimpleNamespace(name=name, dtype=kind or "VARCHAR") for name, _, kind in split
            ],
            "make_temp_relation": lambda relation, suffix: SimpleNamespace(
                incorporate=lambda type: f"{type} {relation}{suffix}"
            ),
            "snowflake__create_view_as_with_temp_flag": lambda relation, sql, is_temporary: (
                f"create {'temporary ' if is_temporary else ''}{relation} as {sql}"
            ),
            "snowflake__create_table_temporary_sql": lambda relation, sql: f"temp {relation} {sql}",
        },
    )


def table(account: Account, relation: str = EVENTS, **given: Any) -> str:
    return one_line(account("snowflake__create_table_as", False, relation, "select 1", **given))


def test_a_table_has_its_policies_from_its_first_moment(account: Made) -> None:
    own = build(account, "customer", "note", "n:NUMBER(38,0)")
    assert table(own) == (
        f"create or replace table DB.PUBLIC.events ( customer varchar, {NOTE}, n number(38,0) ) "
        f"{ROWS} as ( select 1 );"
    )
    probe = "view DB.PUBLIC.events__dbt_tmp_types"
    assert own.ran == [f"create temporary {probe} as select 1", f"drop {probe}"]


def test_a_table_is_clustered_and_keeps_its_grants_where_it_says_so(account: Made) -> None:
    own = build(
        account, "customer", "ts:TIMESTAMP_NTZ", config={"copy_grants": True},
        cluster_by="customer, ts", is_transient=True,
    )  # fmt: skip
    assert table(own) == (
        "create or replace transient table DB.PUBLIC.events ( customer varchar, ts timestamp_ntz ) "
        f"cluster by (customer, ts) copy grants {ROWS} as ( select * from ( select 1 ) "
        "order by customer, ts );"
    )


def test_a_table_without_a_mask_has_the_querys_own_columns(account: Made) -> None:
    own = build(account, "customer", "n:NUMBER")
    assert table(own) == f"create or replace table DB.PUBLIC.events {ROWS} as ( select 1 );"
    assert own.ran == []
    everyone = build(account, "name", config={"meta": {"audience": "everyone"}})
    assert table(everyone, Named("DB.PUBLIC.prices")) == (
        "create or replace table DB.PUBLIC.prices as ( select 1 );"
    )


def test_a_table_of_the_session_is_nobody_elses_and_python_is_refused(account: Made) -> None:
    own = build(account, "customer", "note")
    made = own("snowflake__create_table_as", True, EVENTS, "select 1")
    assert made.strip() == "temp DB.PUBLIC.events select 1"
    with pytest.raises(CompilationError, match="language 'python' is not protected; allowed: sql"):
        table(own, language="python")


@pytest.mark.parametrize(
    ("config", "secure", "grants"),
    [({}, "", ""), ({"secure": True}, "secure ", ""), ({"copy_grants": True}, "", "copy grants ")],
)
def test_a_view_has_its_policies_from_its_first_moment(
    account: Made, config: dict[str, Any], secure: str, grants: str
) -> None:
    own = build(account, "customer", "note", config=config)
    sql = one_line(own("snowflake__create_view_as", Named("DB.PUBLIC.shown"), "select 1"))
    note = NOTE.replace(" varchar", "")
    assert sql == (
        f"create or replace {secure}view DB.PUBLIC.shown ( customer, {note} ) {grants}{ROWS} "
        "as ( select 1 );"
    )


@pytest.mark.parametrize("given", ["of the profile", None])
def test_each_model_has_a_tag_and_the_profiles_comes_back(account: Made, given: str | None) -> None:
    own = account(
        target={"query_tag": given},
        names={"model": SimpleNamespace(unique_id="model.cdesk.events")},
    )
    back = own("snowflake__set_query_tag")
    assert back == (given or "")
    own("snowflake__unset_query_tag", back)
    own.names["model"] = SimpleNamespace(unique_id="model.cdesk.others")
    own("snowflake__set_query_tag")
    first, last, other = own.ran
    assert first.startswith("alter session set query_tag = 'cdesk_")
    assert len(first) == len("alter session set query_tag = 'cdesk_01234567'")
    assert first != other
    assert last == (
        f"alter session set query_tag = '{given}'" if given else "alter session unset query_tag"
    )


# -- what the account's own records say


@pytest.fixture
def records() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for sql in (
            "attach ':memory:' as snowflake; create schema snowflake.account_usage",
            "create macro regexp_like(a, b) as regexp_full_match(a, b)",
            "create macro convert_timezone(zone, instant) as instant",
            "create table snowflake.account_usage.query_history (query_id varchar, "
            "query_tag varchar, start_time timestamp, total_elapsed_time bigint, "
            "bytes_scanned bigint, credits_used_cloud_services double)",
            "create table snowflake.account_usage.query_attribution_history (query_id varchar, "
            "start_time timestamp, credits_attributed_compute double)",
            "create table snowflake.account_usage.warehouse_metering_history (start_time timestamp, "
            "warehouse_name varchar, credits_used double)",
        ):
            connection.execute(sql)
        yield connection


FIRST, BEFORE = "2026-01-01 00:00:00", "2025-12-31 23:59:59.999999"
"""32 days back from now, and a moment earlier."""


def said(account: Made, macro: str) -> str:
    sql = str(account()(macro))
    return sql.replace("dateadd(day, -32, current_timestamp())", f"timestamp '{FIRST}'")


def test_what_a_querys_tag_cost(account: Made, records: duckdb.DuckDBPyConnection) -> None:
    tag, other = "cdesk_0123abcd", "cdesk_ffffffff"
    history = [
        ("q1", tag, FIRST, 1_500, 10, 0.5), ("q2", tag, "2026-01-02", 500, 20, None),
        ("q3", tag, BEFORE, 9_000, 90, 9.0), ("q4", other, "2026-01-02", 1_000, 5, None),
        ("q5", "of others", "2026-01-02", 1_000, 5, 9.0), ("q6", f"x{tag}", FIRST, 1, 1, 9.0),
        ("not attributed yet", other, "2026-01-02", 1_000, 5, 0.5),
    ]  # fmt: skip
    attribution = [
        ("q1", FIRST, 0.25), ("q2", "2026-01-02", 2.0), ("q2", BEFORE, 64.0),
        ("q9", "2026-01-02", 128.0), ("q4", "2026-01-02", None),
    ]  # fmt: skip
    schema = "snowflake.account_usage"
    records.executemany(f"insert into {schema}.query_history values (?, ?, ?, ?, ?, ?)", history)
    records.executemany(
        f"insert into {schema}.query_attribution_history values (?, ?, ?)", attribution
    )
    found = records.execute(f"select * from ({said(account, 'query_costs')}) order by 1").fetchall()
    assert found == [(tag, 2.0, 30, 2.75), (other, 2.0, 10, 0.5)]


def test_what_our_warehouses_cost_by_the_hour(
    account: Made, records: duckdb.DuckDBPyConnection
) -> None:
    hours = [
        (FIRST, "CDESK_WH", 1.0), (FIRST, "CDESK_BUILD_WH", 0.5), (BEFORE, "CDESK_WH", 9.0),
        ("2026-01-02 05:00", "CDESK_WH", 2.0), (FIRST, "OTHER_WH", 9.0),
    ]  # fmt: skip
    records.executemany(
        "insert into snowflake.account_usage.warehouse_metering_history values (?, ?, ?)", hours
    )
    sql = said(account, "metered_credits").replace("timestamp_ntz", "timestamp")
    found = records.execute(f"select cast(hour_at as varchar), credits from ({sql}) order by 1")
    assert found.fetchall() == [("2026-01-01 00:00:00", 1.5), ("2026-01-02 05:00:00", 2.0)]


def test_where_the_engine_keeps_no_records_there_are_none(on_duckdb: Any) -> None:
    with duckdb.connect() as connection:
        for macro, columns in (("query_costs", 4), ("metered_credits", 2)):
            found = connection.execute(Account(on_duckdb)(macro))
            assert (len(found.description or ()), found.fetchall()) == (columns, [])
