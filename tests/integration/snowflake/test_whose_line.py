"""A loader lands for the customers that the account gives it, and for no other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any

import pytest

from cdesk.core.errors import WarehouseUnavailable
from cdesk.warehouse.protocol import LandedLine
from cdesk.warehouse.snowflake.login import Login
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse
from tests.integration.snowflake.account import FakeAccount
from tests.integration.snowflake.conftest import SECOND_LANDING, succeeded
from tests.integration.snowflake.dbt_process import Dbt
from tests.integration.snowflake.records import first

VICTIM = "victim@example.com"
TABLES = ("landing", "_ingest_ids", "quarantined_events", "events")


def event(number: int) -> LandedLine:
    """A record that keeps the contract, of VICTIM."""
    genuine = next(record for record in first() if record["kind"] == "event")
    id_ = f"01890a5d-ac96-7b2e-bd3c-{number:012x}"
    record = {**genuine, "id": id_, "customer": VICTIM, "session_id": None, "link": None}
    return LandedLine(id_, "event", json.dumps(record), "whose-000001.ndjson", number * 10)


@pytest.fixture
def cursor(account: FakeAccount, built: Dbt) -> Iterator[Any]:  # noqa: ARG001  # the tables are there
    """Cleans up: other tests compare the whole of these tables."""
    connection = account.connect()
    cursor = connection.cursor()
    yield cursor
    cursor.execute("delete from landing where source_file like 'whose%'")
    cursor.execute("delete from _ingest_ids where source_file like 'whose%'")
    cursor.execute("delete from quarantined_events where source_file like 'whose%'")
    cursor.execute(f"delete from events where customer = '{VICTIM}'")
    cursor.execute("delete from activities_access.customer_access where principal_kind = 'user'")
    cursor.execute("delete from added_people")
    cursor.execute("drop pipe if exists landing_pipe_victim")
    connection.close()


def land_as(cursor: Any, line: LandedLine, loader: str | None) -> None:
    at = (SECOND_LANDING + timedelta(seconds=1)).isoformat(sep=" ")
    cursor.execute(
        "insert into landing select ?, ?, parse_json(?), ?, ?, cast(? as timestamp_ntz), ?",
        (line.id, line.kind, line.payload, line.source_file, line.source_offset, at, loader),
    )


def test_a_line_for_somebody_elses_customer_is_quarantined(cursor: Any, built: Dbt) -> None:
    cursor.execute(
        f"insert into activities_access.customer_access values ('user', 'VICTIM', '{VICTIM}'), "
        "('user', 'ANALYST', '*')"  # sees everybody's rows, and lands for nobody else
    )
    loaders = ("MALLORY", "VICTIM", "LANDING_PIPE", None, "VICTIM2", "ANALYST")
    for number, loader in enumerate(loaders):
        land_as(cursor, event(number), loader)
    cursor.execute(f"select count(*) from events_live where customer = '{VICTIM}'")
    assert cursor.fetchone() == (3,)
    succeeded(built("run", "--select", "_ingest_ids", "quarantined_events", "events"))
    cursor.execute(f"select _activity_id from events where customer = '{VICTIM}' order by 1")
    assert [row[0] for row in cursor.fetchall()] == [event(number).id for number in (1, 2, 3)]
    cursor.execute(
        "select record_id, reason, detail, customer from quarantined_events "
        "where source_file like 'whose%' order by record_id"
    )
    assert cursor.fetchall() == [
        (event(number).id, "foreign_customer", "customer", VICTIM) for number in (0, 4, 5)
    ]


def test_an_import_knows_by_no_line_that_another_landed(cursor: Any) -> None:
    """It would leave out what it takes to be there already."""
    cursor.execute(
        f"insert into activities_access.customer_access values ('user', 'VICTIM', '{VICTIM}')"
    )
    for number, loader in enumerate(("MALLORY", "VICTIM", None)):
        line = event(number)
        record = json.dumps({**json.loads(line.payload), "source_system": "claude_code"})
        land_as(cursor, replace(line, payload=record), loader)
    cursor.execute(f"select id from landed_imports where customer = '{VICTIM}' order by 1")
    assert [row[0] for row in cursor.fetchall()] == [event(number).id for number in (1, 2)]


def test_a_session_cannot_say_that_it_is_another(account: FakeAccount, cursor: Any) -> None:
    """Who lands calls the procedure; to insert the loader has no privilege."""
    loader = account.connect(role="CDESK_LOADER")
    # as sessions were once opened: with all of the user's roles the insert would be allowed
    with pytest.raises(Exception, match="secondary roles of the user are in force"):
        loader.cursor().execute("select count(*) from landing")
    loader.cursor().execute("use secondary roles none")
    with pytest.raises(Exception, match="Insufficient privileges"):
        land_as(loader.cursor(), event(0), "VICTIM")
    loader.close()
    warehouse = SnowflakeWarehouse(Login(account.environ))
    warehouse.land([event(1)])
    warehouse.close()
    cursor.execute("select id, landed_by from landing where source_file like 'whose%'")
    assert cursor.fetchall() == [(event(1).id, "CDESK_TEST")]


def test_a_person_is_let_in_once_and_stays_after_the_seed_ran(
    account: FakeAccount, cursor: Any, built: Dbt
) -> None:
    for _ in range(2):
        succeeded(built.operation("add_person", user="victim", customer=VICTIM, streaming=True))
    mark = len(account.statements())
    succeeded(built("seed", "--select", "customer_access"))
    changes = [
        statement
        for ran in account.statements(mark)
        if re.match(
            r"\s*(insert|delete|truncate|create|merge)", statement := ran["sql"], re.IGNORECASE
        )
        and "customer_access" in statement
    ]
    assert len(changes) == 1, "a build beside it finds everybody at any moment"
    cursor.execute(
        "select principal_kind, principal, customer from activities_access.customer_access order by 1"
    )
    assert cursor.fetchall() == [("loader", "LANDING_PIPE", "*"), ("user", "VICTIM", VICTIM)]


def test_the_eleventh_pipe_is_refused_with_what_to_do_instead(cursor: Any, built: Dbt) -> None:
    for number in range(9):
        cursor.execute(f"create pipe if not exists landing_pipe_p{number} as copy into landing")
    try:
        result = built.operation("add_person", user="late", customer="late", streaming=True)
        assert not result.ok
        assert "Snowflake allows 10 a table" in result.printed
        succeeded(built.operation("add_person", user="late", customer="late"))
        with pytest.raises(Exception, match="high-performance-limitations"):
            cursor.execute("create pipe landing_pipe_late as copy into landing")
    finally:
        for number in range(9):
            cursor.execute(f"drop pipe landing_pipe_p{number}")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"user": "ada; drop table landing", "customer": "ada"}, "user is"),
        ({"user": "ADA", "customer": "a' or '1'='1"}, "customer is"),
        ({"user": "ADA", "customer": ""}, "customer is"),
    ],
)
def test_a_name_that_is_no_name_is_refused(
    built: Dbt, arguments: dict[str, str], says: str
) -> None:
    result = built.operation("add_person", **arguments)
    assert not result.ok
    assert says in result.printed


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (625, "Statement aborted because the number of waiters for this lock exceeds the 20 limit"),
        (630, "Statement reached its statement or warehouse timeout of 30 second(s)"),
        (604, "SQL execution canceled"),
        (300010, "Processing aborted by error 300010"),
        (370001, "Processing aborted by error 370001"),
        (3001, "Insufficient privileges to operate on procedure 'LAND_LINES'"),
        (606, "No active warehouse selected in the current session"),
        (999_999, "something that nobody has heard of"),
    ],
)
def test_what_is_not_the_datas_fault_is_tried_again(
    account: FakeAccount, cursor: Any, code: int, message: str
) -> None:
    """The uploader quarantines lines only for what is the data's fault."""
    warehouse = SnowflakeWarehouse(Login(account.environ))
    failure = {
        "on": "statement",
        "pattern": r"^\s*insert into .*landing",
        "code": str(code),
        "message": message,
        "sqlstate": "57014",
    }
    with account.failing(failure), pytest.raises(WarehouseUnavailable):
        warehouse.land([event(1)])
    assert warehouse.land([event(1)]).rows == 1
    warehouse.close()
    cursor.execute("select count(*) from landing where source_file like 'whose%'")
    assert cursor.fetchone() == (1,)


OLD_LANDING = (
    "merge into landing using (select 'x' as id) as batch on landing.id = batch.id "
    "when not matched then insert (id, kind, payload, source_file, source_offset, landed_at) "
    "values (batch.id, 'event', parse_json('{}'), 'whose', 0, sysdate())"
)


def test_the_twenty_first_that_waits_for_a_lock_is_refused(
    account: FakeAccount, cursor: Any
) -> None:
    """What became of a MERGE, by which desktops once landed, while another landed slowly."""
    holder = account.connect()
    holder.cursor().execute("begin")
    holder.cursor().execute(OLD_LANDING)
    waiters = [account.connect() for _ in range(21)]
    with ThreadPoolExecutor(21) as pool:
        merges = [pool.submit(one.cursor().execute, OLD_LANDING) for one in waiters]
        refused, _ = wait(merges, return_when=FIRST_EXCEPTION, timeout=60)
        codes = {getattr(one.exception(), "errno", None) for one in refused}
        holder.cursor().execute("rollback")
    assert codes == {625}
    for one in (holder, *waiters):
        one.close()
    cursor.execute("delete from landing where id = 'x'")


def test_no_landing_waits_for_a_lock(account: FakeAccount, cursor: Any) -> None:
    """Only an insert: https://docs.snowflake.com/en/sql-reference/transactions#resource-locking"""
    mark = len(account.statements())
    warehouse = SnowflakeWarehouse(Login(account.environ))
    locked = {
        "on": "statement",
        "pattern": r"^\s*(merge into|update|delete from)\b",
        "code": "625",
        "message": "Statement aborted: the number of waiters for this lock exceeds the 20 limit",
        "times": 99,
    }
    with account.failing(locked):
        warehouse.land([event(1), event(2)])
    warehouse.close()
    assert any("insert into" in ran["sql"] for ran in account.statements(mark))
    cursor.execute("select count(*) from landing where source_file like 'whose%'")
    assert cursor.fetchone() == (2,)


def test_what_landed_last_is_looked_for_in_the_last_days_first(
    account: FakeAccount, cursor: Any
) -> None:
    """All of the table is read only where nothing has landed for some days."""
    warehouse = SnowflakeWarehouse(Login(account.environ))
    landed = warehouse.land([event(1)]).landed_at
    mark = len(account.statements())
    assert warehouse.last_landing() == landed
    asked = [ran["sql"] for ran in account.statements(mark) if "max(landed_at)" in ran["sql"]]
    assert ["dateadd(day, -3" in sql for sql in asked] == [True]
    cursor.execute("delete from landing where source_file like 'whose%'")
    assert warehouse.last_landing() == SECOND_LANDING.replace(tzinfo=UTC)
    warehouse.close()
