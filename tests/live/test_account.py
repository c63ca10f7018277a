"""On a real account, run by scripts/live.sh: what no stand-in can show. Everything is made in a
database of its own and dropped at the end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cdesk.contract.catalog import Template
from cdesk.core.errors import QueryCancelled, QueryTimedOut, WarehouseError
from cdesk.warehouse.snowflake.login import Login
from cdesk.warehouse.snowflake.snowpipe_sdk import sdk_client
from cdesk.warehouse.snowflake.streaming import SnowpipeWarehouse
from cdesk.warehouse.snowflake.warehouse import SnowflakeWarehouse
from tests.integration.snowflake.dbt_process import Dbt, running_dbt
from tests.integration.snowflake.records import CUSTOMERS, first, lines, second
from tests.live.run import CREDITS, DATABASE, PREFIX

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        not os.environ.get("SNOWFLAKE_ACCOUNT"), reason="no Snowflake account: see scripts/live.sh"
    ),
]
ACCESS = "activities_access.customer_access"
SERVICE_USER = f"{PREFIX}_SERVICE_USER"
VARIABLES: dict[str, object] = {"cdesk__snowflake_prefix": PREFIX}


class Installation:
    def __init__(self, dbt: Dbt, administrator: Dbt, guardian: Dbt) -> None:
        self.dbt = dbt
        self.administrator = administrator
        self.guardian = guardian
        self.environ = {**os.environ, "SNOWFLAKE_DATABASE": DATABASE}
        self.login = Login(self.environ)

    def warehouse(self, reader: str) -> SnowflakeWarehouse:
        return SnowflakeWarehouse(
            self.login,
            reader_role=f"{PREFIX}_{reader}",
            loader_role=f"{PREFIX}_LOADER",
            warehouse=f"{PREFIX}_WH",
        )

    def run(self, role: str, *statements: str) -> list[tuple[Any, ...]]:
        """The last one's rows, in a session of that role and no other: the user's secondary roles,
        ACCOUNTADMIN among them, would be in force beside it, and a statement that has to be refused
        would empty a table.
        """
        connection = self.login.open(
            role=role, warehouse=f"{PREFIX}_BUILD_WH", session_parameters={}
        )
        try:
            cursor = connection.cursor()
            for statement in ("use secondary roles none", *statements):
                cursor.execute(statement)
            return list(cursor.fetchall())
        finally:
            connection.close()


def profile(folder: Path, role: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "profiles.yml").write_text(
        "cdesk:\n  target: snowflake\n  outputs:\n    snowflake:\n      type: snowflake\n     "
        " threads: 4\n"
        + "".join(
            f"      {key}: \"{{{{ env_var('{name}', '') }}}}\"\n"
            for key, name in (
                ("account", "SNOWFLAKE_ACCOUNT"),
                ("user", "SNOWFLAKE_USER"),
                ("private_key_path", "SNOWFLAKE_PRIVATE_KEY_PATH"),
                ("private_key_passphrase", "SNOWFLAKE_PRIVATE_KEY_PASSPHRASE"),
            )
        )
        + f"      role: {role}\n      warehouse: {PREFIX}_BUILD_WH\n      database: "
        f"{DATABASE}\n      schema: ACTIVITIES\n",
        encoding="utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    work = tmp_path_factory.mktemp("live")
    admin = profile(work / "admin", "ACCOUNTADMIN")
    with running_dbt(
        profile(work / "build", f"{PREFIX}_TRANSFORMER"), work, dict(os.environ), VARIABLES
    ) as dbt:
        administrator = replace(dbt, profiles=admin)
        guardian = replace(dbt, profiles=profile(work / "policies", f"{PREFIX}_ADMIN"))
        made = Installation(dbt, administrator, guardian)
        found = made.run("ACCOUNTADMIN", f"show databases like '{DATABASE}'")
        assert found == [], f"database {DATABASE} is there; drop it if it is of an earlier run"
        try:
            for _ in range(2):  # the second time over what is there
                for operation, arguments in (
                    ("setup_snowflake", {}),
                    ("apply_resource_monitors", CREDITS),
                ):
                    result = administrator.operation(operation, **arguments)
                    assert result.ok, result.failures
                user = os.environ["SNOWFLAKE_USER"]
                made.run(
                    "ACCOUNTADMIN",
                    *(
                        f'grant role {PREFIX}_{role} to user "{user.upper()}"'
                        for role in ("ADMIN", "SERVICE")
                    ),
                )
                for operation in ("apply_row_access", "apply_masking"):
                    result = guardian.operation(operation)
                    assert result.ok, result.failures
            # it lands for all customers of the records
            made.run(
                f"{PREFIX}_TRANSFORMER",
                f"insert into added_people select 'loader', '{user.upper()}', '*'",
            )
            warehouse = made.warehouse("SERVICE")
            for records, name in ((first(), "a-000001.ndjson"), (second(), "b-000001.ndjson")):
                warehouse.land(lines(records, name))
                result = dbt("build")
                assert result.ok, result.failures
            yield made
        finally:
            administrator.operation("teardown", confirm=DATABASE, drop_data=True)
            made.run("ACCOUNTADMIN", f"drop user if exists {SERVICE_USER}")


def template(sql: str, *binds: str, scope: str = "customer") -> Template:
    return Template("probe", "", scope, (), sql, binds, {}, "0" * 16)  # type: ignore[arg-type]


def ask(
    warehouse: SnowflakeWarehouse, wanted: Template, binds: list[object], timeout: float = 30
) -> list[dict[str, Any]]:
    with warehouse.run_template(
        wanted, binds, query_tag="cdesk_11fe11fe", timeout_seconds=timeout
    ) as outcome:
        return [row for batch in outcome.batches for row in batch.to_pylist()]


def test_the_service_sees_the_customer_of_the_query_and_no_other(
    installation: Installation,
) -> None:
    warehouse = installation.warehouse("SERVICE")
    everybody = template("select distinct customer from events where ? is not null", "customer")
    assert ask(warehouse, everybody, [CUSTOMERS[0]]) == [{"customer": CUSTOMERS[0]}]
    assert ask(warehouse, everybody, ["nobody@example.com"]) == []
    plan = warehouse.explain_template(everybody, [CUSTOMERS[0]], query_tag="cdesk_11fe11fe")
    assert "GlobalStats" in plan
    all_of_them = template("select distinct customer from events", scope="org")
    assert len(ask(warehouse, all_of_them, [])) == len(CUSTOMERS)


def test_a_reader_without_an_entry_sees_nothing_and_setting_the_variable_is_no_use(
    installation: Installation,
) -> None:
    role = f"{PREFIX}_READER"
    forged = (
        "set (cdesk_scope, cdesk_customer) = ('org', 'x')",
        "select count(*) from events",
    )
    assert installation.run(role, *forged) == [(0,)]
    for relation in (
        "landing",
        "unstored_activities",
        "quarantined_events",
        "stg_events",
        "events_live",
        "customer_stream",
    ):
        assert installation.run(role, f"select count(*) from {relation}") == [(0,)], relation


def test_a_person_with_an_entry_sees_their_own_rows_through_the_guarded_mapping_table(
    installation: Installation,
) -> None:
    user = os.environ["SNOWFLAKE_USER"].upper()
    builder, role = f"{PREFIX}_TRANSFORMER", f"{PREFIX}_READER"
    result = installation.administrator.operation(
        "add_person", user=user, customer=CUSTOMERS[0], streaming=True
    )
    assert result.ok, result.printed
    assert f"CDESK_SNOWFLAKE_PIPE_ROLE={PREFIX}_PIPE_{user}" in result.printed
    found = installation.run(f"{PREFIX}_PIPE_{user}", "show pipes like 'LANDING_PIPE_%'")
    assert len(found) == 1, "the role of a person's pipe sees that one alone"
    installation.run(
        builder, f"insert into {ACCESS} select 'user', 'SOMEBODY_ELSE', '{CUSTOMERS[1]}'"
    )
    try:
        for secondary in (
            "none",
            "all",
        ):  # the user has ADMIN and SERVICE, too: in force beside the reader they add nothing
            seen = installation.run(
                role, f"use secondary roles {secondary}", "select distinct customer from events"
            )
            assert seen == [(CUSTOMERS[0],)], secondary
        # the policy looks it up on their behalf; they can't so much as name it, nor put a
        # temporary table in front of it
        for statement in (
            f"select principal from {ACCESS}",
            f"create temporary table {ACCESS} as select 'user' as principal_kind, "
            f"'{user}' as principal, '*' as customer",
        ):
            with pytest.raises(Exception, match=r"(?i)insufficient privileges|not authorized"):
                installation.run(role, statement)
    finally:
        installation.run(builder, f"delete from {ACCESS} where principal_kind = 'user'")
        installation.run(builder, "delete from added_people where principal_kind = 'user'")


def test_a_line_for_somebody_elses_customer_is_quarantined(installation: Installation) -> None:
    builder = f"{PREFIX}_TRANSFORMER"
    line = lines([{**first()[0], "id": "01940000-0000-7000-8000-00000000fffe"}], "f-000001.ndjson")
    installation.warehouse("SERVICE").land(line[:1])
    installation.run(
        builder, "update landing set landed_by = 'MALLORY' where source_file = 'f-000001.ndjson'"
    )
    result = installation.dbt("run", "--select", "_ingest_ids", "quarantined_events", "events")
    assert result.ok, result.failures
    found = installation.run(
        builder, "select reason from quarantined_events where source_file = 'f-000001.ndjson'"
    )
    assert found == [("foreign_customer",)]


def test_the_loader_sees_that_a_line_has_landed_and_not_what_it_says(
    installation: Installation,
) -> None:
    loader = f"{PREFIX}_LOADER"
    assert installation.run(loader, "select count(*) > 0, count(payload) from landing") == [
        (True, 0)
    ]
    for sql in (
        "select * from events",
        "delete from landing",
        "update landing set kind = 'x'",
        "insert into landing (id) select 'forged'",
    ):
        with pytest.raises(Exception, match=r"(?i)insufficient privileges|not authorized"):
            installation.run(loader, sql)


def test_the_account_stamps_who_landed_a_line(installation: Installation) -> None:
    found = installation.run(
        f"{PREFIX}_TRANSFORMER",
        "select distinct landed_by from landing where landed_by is not null",
    )
    assert found == [(os.environ["SNOWFLAKE_USER"].upper(),)]


def test_tasks_and_retention_are_taken_as_they_are(installation: Installation) -> None:
    for operation in ("apply_streams_tasks", "apply_retention"):
        for _ in range(2):
            result = installation.dbt.operation(operation)
            assert result.ok, result.printed
    for operation in ("apply_semantic_view", "apply_mcp_server"):
        for _ in range(2):
            result = installation.guardian.operation(operation)
            assert result.ok, result.printed
    hosted = "select count(*) > 0 from table(ask_activity_counts(?, 36500))".replace(
        "?", f"'{CUSTOMERS[0]}'"
    )
    assert installation.run(f"{PREFIX}_TRANSFORMER", hosted) == [(True,)]
    assert installation.run(f"{PREFIX}_READER", hosted) == [(False,)]
    result = installation.dbt.operation("apply_streams_tasks", suspend=True)
    assert result.ok, result.printed


def test_retention_reaches_a_clone_that_its_role_may_use(installation: Installation) -> None:
    installation.run("ACCOUNTADMIN", "create schema activities_before clone activities")
    clone = {"clones": ["ACTIVITIES_BEFORE"]}
    refused = installation.dbt.operation("apply_retention", **clone)
    assert not refused.ok
    grant = f"grant usage on schema {DATABASE}.ACTIVITIES_BEFORE to role {PREFIX}_TRANSFORMER"
    assert grant in refused.printed
    installation.run("ACCOUNTADMIN", grant)
    result = installation.dbt.operation("apply_retention", **clone)
    assert result.ok, result.printed
    # its tables are still the transformer's
    installation.run(f"{PREFIX}_TRANSFORMER", "delete from activities_before.landing")


def test_the_service_has_a_user_of_its_own_that_logs_in_by_key_alone(
    installation: Installation,
) -> None:
    for _ in range(2):
        result = installation.administrator.operation(
            "add_service", user=SERVICE_USER, addresses=["203.0.113.0/24"]
        )
        assert result.ok, result.printed
    found = installation.run("ACCOUNTADMIN", f"show users like '{SERVICE_USER}'")
    assert len(found) == 1
    policy = f"{DATABASE}.activities.service_login"
    set_on = installation.run(
        "ACCOUNTADMIN",
        "select ref_entity_name from table(information_schema.policy_references("
        f"policy_name => '{policy}'))",
    )
    assert set_on == [(SERVICE_USER,)]


def test_a_landing_writes_whole_payloads_for_a_loader_that_reads_none(
    installation: Installation,
) -> None:
    warehouse = installation.warehouse("SERVICE")
    batch = lines(second(), "e-000001.ndjson")
    warehouse.land(batch)
    warehouse.land(batch)
    found = installation.run(
        f"{PREFIX}_TRANSFORMER",
        "select count(*), count(distinct source_offset), count(payload) from landing where "
        "source_file = 'e-000001.ndjson'",
    )
    assert found == [(len(batch), len(batch), len(batch))]


def test_a_build_in_another_role_is_refused(installation: Installation, tmp_path: Path) -> None:
    other = replace(installation.dbt, profiles=profile(tmp_path, "ACCOUNTADMIN"))
    result = other("run", "--select", "vw_tool_events")
    assert not result.ok
    assert "builds run as" in " ".join(result.failures) + result.printed


def test_the_account_tells_its_time(installation: Installation) -> None:
    assert abs(installation.warehouse("SERVICE").clock_distance()) < timedelta(minutes=5)


def test_what_a_person_typed_is_masked_for_the_service_and_whole_for_builds(
    installation: Installation,
) -> None:
    sql = (
        "select count(*) as n from events where contains(to_json(_feature_json), 'bob@example.com')"
    )
    assert ask(installation.warehouse("SERVICE"), template(sql, scope="org"), []) == [{"n": 0}]
    assert installation.run(f"{PREFIX}_TRANSFORMER", sql)[0][0] == 1


def test_what_landed_since_the_build_shows_in_events_live_for_the_service(
    installation: Installation,
) -> None:
    warehouse = installation.warehouse("SERVICE")
    record = {**first()[0], "id": "01940000-0000-7000-8000-00000000ffff"}
    warehouse.land(lines([record], "c-000001.ndjson")[:1])
    wanted = template(
        "select count(*) as n from events_live where _activity_id = "
        "'01940000-0000-7000-8000-00000000ffff' and customer = ?",
        "customer",
    )
    assert ask(warehouse, wanted, [CUSTOMERS[0]]) == [{"n": 1}]


def test_a_running_query_is_cancelled_and_times_out(installation: Installation) -> None:
    warehouse = installation.warehouse("SERVICE")
    slow = template(
        "select count(*) as n from table(generator(rowcount => 100000000000)) where random() = 1",
        scope="org",
    )
    with pytest.raises(QueryTimedOut):
        ask(warehouse, slow, [], timeout=3)
    cancel = threading.Event()
    threading.Timer(2, cancel.set).start()
    started = time.monotonic()
    with (
        pytest.raises(QueryCancelled),
        warehouse.run_template(
            slow, [], query_tag="cdesk_11fe11fe", timeout_seconds=25, cancel=cancel
        ),
    ):
        pass
    assert time.monotonic() - started < 20


def test_only_one_statement_runs_at_a_time_and_readers_cannot_write(
    installation: Installation,
) -> None:
    warehouse = installation.warehouse("SERVICE")
    for sql in (
        "select 1; select 2",
        "create table stolen as select * from events",
        "delete from events",
    ):
        with pytest.raises(WarehouseError):
            ask(warehouse, template(sql, scope="org"), [])


@pytest.mark.skipif(
    not os.environ.get("SNOWFLAKE_PRIVATE_KEY_PATH"), reason="Snowpipe Streaming takes a key pair"
)
def test_streaming_lands_and_resumes(installation: Installation) -> None:
    def opened() -> SnowpipeWarehouse:
        return SnowpipeWarehouse(
            installation.warehouse("SERVICE"),
            lambda: sdk_client(
                installation.login,
                role=f"{PREFIX}_SERVICE",
                pipe="LANDING_PIPE",
                name="cdesk-live",
            ),
            channel="cdesk-live",
        )

    def rows_are(expected: int) -> None:
        """Each line once, within two minutes: a commit is in its token a little before it is in a
        query.
        """
        deadline = time.monotonic() + 120
        while True:
            rows = installation.run(
                f"{PREFIX}_LOADER",
                "select count(*), count(distinct id) from landing where source_file = "
                "'d-000001.ndjson'",
            )
            if rows[0][0] >= expected or time.monotonic() >= deadline:
                break
            time.sleep(3)
        assert rows == [(expected, expected)]

    batch = lines(first(), "d-000001.ndjson")
    opened().land(batch[:5])
    opened().land(batch[5:])
    rows_are(len(batch))
    # put back to an older state: what is missing lands again
    last = batch[2].source_offset
    installation.run(
        f"{PREFIX}_TRANSFORMER",
        f"delete from landing where source_file = 'd-000001.ndjson' and source_offset > {last}",
    )
    assert opened().positions(["d-000001.ndjson"]) == {"d-000001.ndjson": last}
    opened().land(batch[3:])
    rows_are(len(batch))


def test_who_is_erased_is_gone_and_a_hold_refuses_it(installation: Installation) -> None:
    """The last test: others count these rows."""
    builder, (ada, _, leaver) = f"{PREFIX}_TRANSFORMER", CUSTOMERS
    count = "select count_if(customer != '{0}') > 0, count_if(customer = '{0}') from events"
    of_leaver = count.format(leaver.replace("'", "''"))
    assert installation.guardian.operation("legal_hold", customer=leaver).ok
    assert not installation.dbt.operation("erase", customer=leaver).ok
    assert installation.guardian.operation("legal_hold", customer=leaver, lift=True).ok
    result = installation.dbt.operation("erase", customer=leaver)
    assert result.ok, result.printed
    assert installation.run(builder, of_leaver) == [(True, 0)]
    result = installation.dbt("run", "--selector", "refresh_live")
    assert result.ok, result.failures
    result = installation.dbt.operation("forget_histories", customer=ada)
    assert result.ok, result.printed
    captured = "select count_if(_source_system in ('claude_code', 'cowork')) from events"
    assert installation.run(builder, captured) == [(0,)]
