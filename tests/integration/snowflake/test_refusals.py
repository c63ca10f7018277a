"""What goes wrong over the wire, as the real connector reports it: one clear error each, naming
what mends it.

And no more logins than an account bears.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from landing_table import land_lines_ddl

from cdesk.contract.catalog import Template
from cdesk.core.errors import (
    CdeskError,
    QueryCancelled,
    QueryTimedOut,
    WarehouseError,
    WarehouseNotBuilt,
    WarehouseUnavailable,
)
from cdesk.warehouse.protocol import LandedLine
from cdesk.warehouse.snowflake.login import Login
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse
from tests.integration.snowflake.account import FakeAccount
from tests.integration.snowflake.dbt_process import Dbt, DbtResult

PROBE = Template("probe", "", "customer", (), "select 7 as probe_value", (), {}, "0" * 16)
LINE = LandedLine("id", "event", "{}", "f-000001.ndjson", 0)


@pytest.fixture
def warehouse(account: FakeAccount) -> Iterator[SnowflakeWarehouse]:
    made = SnowflakeWarehouse(Login({**account.environ, "SNOWFLAKE_DATABASE": "REFUSALS"}))
    yield made
    made.close()


def ask(warehouse: SnowflakeWarehouse) -> list[Any]:
    with warehouse.run_template(
        PROBE, [], query_tag="cdesk_0bad0bad", timeout_seconds=20
    ) as outcome:
        return [row for batch in outcome.batches for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("code", "message", "says"),
    [
        (
            "390144",
            "JWT token is invalid. [0ce9eb56-821d-4ca9-a774-04ae89a0cf5a]",
            "the key is not the one",
        ),
        (
            "390100",
            "Incorrect username or password was specified.",
            "the user or the password is wrong",
        ),
        (
            "390189",
            "Role 'CDESK_READER' specified in the connect string is not granted to this user.",
            "role CDESK_READER is not granted",
        ),
    ],
)
def test_a_refused_login_is_told_and_not_repeated(
    account: FakeAccount, warehouse: SnowflakeWarehouse, code: str, message: str, says: str
) -> None:
    before = sum(s["sql"] == "login" for s in account.statements())
    with account.failing({"on": "login", "code": code, "message": message, "times": 99}):
        with pytest.raises(WarehouseUnavailable, match=says):
            ask(warehouse)
        with pytest.raises(WarehouseUnavailable, match="the next login is tried in"):
            warehouse.land([LINE])
    assert sum(s["sql"] == "login" for s in account.statements()) == before + 1


@pytest.mark.parametrize(
    ("code", "sqlstate", "message", "kind", "mends"),
    [
        ("606", "57P03", "No active warehouse selected in the current session.", WarehouseError, "setup_snowflake"),
        ("3001", "42501", "Insufficient privileges to operate on table 'EVENTS'.", WarehouseError, "setup_snowflake"),
        ("2003", "42S02", "Object 'EVENTS' does not exist or not authorized.", WarehouseNotBuilt, "dbt build --target snowflake"),
        ("904", "42000", "SQL compilation error: invalid identifier 'VALUE_TYPE'", WarehouseNotBuilt, "dbt build --target snowflake"),
        ("630", "57014", "Statement reached its statement or warehouse timeout of 30 second(s) and was canceled.", QueryTimedOut, "narrow"),
        ("604", "57014", "SQL execution canceled", QueryCancelled, "cancelled"),
        ("90073", "22000", "Warehouse 'CDESK_WH' cannot be resumed because resource monitor 'CDESK_DAILY' has exceeded its quota.",
         WarehouseUnavailable, "apply_resource_monitors"),
    ],
)  # fmt: skip
def test_a_refused_query_names_what_mends_it(
    account: FakeAccount,
    warehouse: SnowflakeWarehouse,
    code: str,
    sqlstate: str,
    message: str,
    kind: type[CdeskError],
    mends: str,
) -> None:
    failure = {
        "on": "statement",
        "pattern": "probe_value",
        "code": code,
        "sqlstate": sqlstate,
        "message": message,
    }
    with account.failing(failure), pytest.raises(kind, match=mends):
        ask(warehouse)
    assert ask(warehouse) == [{"probe_value": 7}]


def test_a_landing_that_fails_half_way_leaves_nothing_and_can_be_repeated(
    account: FakeAccount, warehouse: SnowflakeWarehouse
) -> None:
    connection = account.connect(database="REFUSALS")
    cursor = connection.cursor()
    cursor.execute(
        "create table if not exists landing (id varchar, kind varchar, payload variant, source_file varchar, "
        "source_offset number(38, 0), landed_at timestamp_ntz, landed_by varchar)"
    )
    cursor.execute(land_lines_ddl())
    message = "Authentication token has expired."
    failure = {
        "on": "statement",
        "pattern": r"^\s*insert into landing",
        "code": "390114",
        "message": message,
    }
    with account.failing(failure), pytest.raises(WarehouseUnavailable):
        warehouse.land([LINE])
    assert cursor.execute("select count(*) from landing").fetchone() == (0,)
    warehouse.land([LINE])
    warehouse.land([LINE])  # as after a commit whose answer got lost
    assert cursor.execute("select count(*) from landing").fetchone() == (1,)
    connection.close()


def test_a_build_that_broke_off_is_made_up_for_by_the_next(
    account: FakeAccount, built: Dbt
) -> None:
    connection = account.connect()
    before = (
        connection.cursor()
        .execute("select count(*), max(activity_occurrence) from events")
        .fetchall()
    )
    with account.failing(
        {
            "on": "statement",
            "pattern": r"merge into \S*events",
            "code": "390114",
            "message": "Authentication token has expired.",
        }
    ):
        broken = built("run", "--select", "events")
    assert not broken.ok
    assert "Authentication token has expired" in " ".join(broken.failures)
    assert built("run", "--select", "events").ok
    assert (
        connection.cursor()
        .execute("select count(*), max(activity_occurrence) from events")
        .fetchall()
        == before
    )
    connection.close()


def test_each_query_goes_out_tagged_limited_bound_and_for_one_customer(
    account: FakeAccount, warehouse: SnowflakeWarehouse
) -> None:
    mark = len(account.statements())
    wanted = Template(
        "probe", "", "customer", (), "select ? as probe_value", ("customer",), {}, "0" * 16
    )
    with warehouse.run_template(
        wanted, ["o'brien"], query_tag="cdesk_0000cafe", timeout_seconds=20
    ) as outcome:
        assert [row for batch in outcome.batches for row in batch.to_pylist()] == [
            {"probe_value": "o'brien"}
        ]
    ran = [s for s in account.statements(mark) if s["sql"] != "login"]
    assert (
        ran[0]["sql"] == "use secondary roles none"
    )  # the policies go by the role that was asked for, and no other
    query = next(s for s in ran if "probe_value" in s["sql"])
    assert query["tag"] == "cdesk_0000cafe"
    assert query["binds"]
    assert query["parameters"]["STATEMENT_TIMEOUT_IN_SECONDS"] == "30"
    assert query["parameters"]["MULTI_STATEMENT_COUNT"] == "1"
    assert query["parameters"]["USE_CACHED_RESULT"] == "True"
    assert not any("o'brien" in s["sql"] for s in ran)
    login = next(s["login"] for s in account.statements(mark) if s["sql"] == "login")
    assert login["SESSION_PARAMETERS"]["STATEMENT_TIMEOUT_IN_SECONDS"] == 30


def test_a_session_serves_one_customer_for_its_whole_life(
    account: FakeAccount, warehouse: SnowflakeWarehouse
) -> None:
    """Its variables decide which rows the policy shows, and what the result cache may answer."""
    mark = len(account.statements())
    wanted = Template(
        "probe", "", "customer", (), "select ? as probe_value", ("customer",), {}, "0" * 16
    )
    for customer in ("ada", "bob", "ada", "bob", "ada"):
        with warehouse.run_template(
            wanted, [customer], query_tag="cdesk_0000cafe", timeout_seconds=20
        ) as outcome:
            assert [row for batch in outcome.batches for row in batch.to_pylist()] == [
                {"probe_value": customer}
            ]
    ran = [s["sql"] for s in account.statements(mark)]
    assert ran.count("login") == 2
    assert len([sql for sql in ran if sql.startswith("set (")]) == 2


@pytest.mark.parametrize(
    ("scope", "binds", "values", "seen"),
    [
        ("customer", ("customer",), ["ada"], ("customer", "ada")),
        ("caller", ("customer", "is_analyst"), ["bob", False], ("customer", "bob")),
        ("caller", ("customer", "is_analyst"), ["bob", True], ("org", "")),
    ],
)
def test_the_session_names_its_customer_to_a_template_that_filters_nothing(
    warehouse: SnowflakeWarehouse,
    scope: Any,
    binds: tuple[str, ...],
    values: list[object],
    seen: tuple[str, str],
) -> None:
    """What the row access policy reads: it shows that customer's rows, however wrong the SQL is."""
    conditions = " and ".join("? is not null" for _ in binds)
    sql = f"select $cdesk_scope as scope, $cdesk_customer as who where {conditions}"
    wrong = Template("wrong", "", scope, (), sql, binds, {}, "0" * 16)
    with warehouse.run_template(
        wrong, values, query_tag="cdesk_0000cafe", timeout_seconds=20
    ) as outcome:
        rows = [row for batch in outcome.batches for row in batch.to_pylist()]
    assert [tuple(row.values()) for row in rows] == [seen]


def test_a_clustered_table_made_of_a_query_needs_its_columns(account: FakeAccount) -> None:
    """As `_ingest_ids` was once made, and as it is."""
    query = "as select 'ada' as customer, 1 as place"
    head = "create or replace transient table REFUSALS.PUBLIC.clustered"
    with account.connect(database="REFUSALS", schema="PUBLIC") as connection:
        cursor = connection.cursor()
        cursor.execute("create schema if not exists REFUSALS.PUBLIC")
        with pytest.raises(Exception, match="create-table-as-select"):
            cursor.execute(f"{head} cluster by (customer, place) {query}")
        columns = "(customer varchar, place number(38, 0))"
        cursor.execute(f"{head} {columns} cluster by (customer, place) {query}")
        assert cursor.execute("select customer from clustered").fetchall() == [("ada",)]
        cursor.execute(f"{head} {query}")


def test_a_result_scan_has_an_order_of_its_own_and_the_querys_result_has_the_querys(
    account: FakeAccount,
) -> None:
    """Rows were once fetched by the one, and are by the other."""
    with account.connect(database="REFUSALS") as connection:
        cursor = connection.cursor()
        numbers = "select column1 as n from values " + ", ".join(f"({n})" for n in range(10))
        cursor.execute(f"{numbers} order by n")
        query_id = cursor.sfqid
        scanned = cursor.execute(f"select * from table(result_scan('{query_id}'))").fetchall()
        assert scanned != sorted(scanned)
        assert sorted(scanned) == [(n,) for n in range(10)]
        again = connection.cursor()
        again.query_result(query_id)
        assert again.fetchall() == sorted(scanned)


def test_a_masking_policy_of_another_type_than_its_column_is_refused(account: FakeAccount) -> None:
    with account.connect(database="REFUSALS", schema="PUBLIC") as connection:
        cursor = connection.cursor()
        cursor.execute("create schema if not exists REFUSALS.PUBLIC")
        cursor.execute(
            "create masking policy if not exists REFUSALS.PUBLIC.of_text as (value varchar) "
            "returns varchar -> value"
        )
        table = "create or replace table REFUSALS.PUBLIC.typed (said {} masking policy of_text)"
        with pytest.raises(Exception, match="security-column-intro"):
            cursor.execute(table.format("variant"))
        cursor.execute(table.format("varchar"))


@pytest.mark.parametrize(
    "type_",
    [
        "ARRAY",
        "OBJECT",
        "MAP(VARCHAR, VARCHAR)",
        "BINARY(8388608)",
        "GEOGRAPHY",
        "VECTOR(FLOAT, 256)",
        "FILE",
    ],
)
def test_a_column_that_no_policy_covers_is_refused_by_name(dbt: Dbt, type_: str) -> None:
    def policy(data_type: str) -> DbtResult:
        arguments = json.dumps({"name": "parts", "data_type": data_type})
        return dbt("run-operation", "_masking_policy", "--args", arguments)

    result = policy(type_)
    assert not result.ok
    assert f"column parts is of type {type_}" in result.printed
    assert policy("VARIANT").ok
