"""Setting an account up, governing it, doing it again: on the fake account, and as text through
sqlfluff's snowflake dialect.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.integration.snowflake.account import FakeAccount
from tests.integration.snowflake.conftest import SECOND_LANDING, land_on_snowflake
from tests.integration.snowflake.dbt_process import Dbt
from tests.integration.snowflake.records import event, lines
from tests.integration.snowflake.scans import relations
from tests.snapshots import assert_kept
from tests.sqlfluff_parse import unparsable

LEAVING = SECOND_LANDING + timedelta(minutes=1)
SNAPSHOTS = Path(__file__).parent / "dry_runs"
OPERATIONS: dict[str, dict[str, Any]] = {
    "setup_snowflake": {},
    "add_person": {"user": "ADA", "customer": "ada@example.com", "streaming": True},
    "apply_row_access": {},
    "apply_masking": {},
    "apply_resource_monitors": {"account_monthly_credits": 200},
    "apply_retention": {},
    "apply_streams_tasks": {},
    "apply_semantic_view": {},
    "apply_mcp_server": {"templates": ["activity_counts", "insights"]},
    "add_service": {
        "user": "CDESK_SERVICE_USER",
        "addresses": ["203.0.113.0/24"],
        "workload_identity": "type = aws arn = 'arn:aws:iam::123456789012:role/cdesk'",
    },
    "erase": {"customer": "ada@example.com"},
    "forget_histories": {"customer": "ada@example.com"},
    "teardown": {"drop_data": True},
}
SCHEMA = "CLAUDE_LOGS.ACTIVITIES"


def without_module(sql: str) -> str:
    """The statements without the module of patterns, which has a file and tests of its own."""
    return re.sub(
        r"(as \$\$\n).*?(\n\n(?:def redact\(value\)|class Digits\(float\)))",
        r"\1# cdesk/contract/redaction\2",
        sql,
        flags=re.DOTALL,
    )


@pytest.mark.snapshot
def test_the_dry_run_prints_what_is_kept_and_touches_nothing(
    dbt: Dbt, account: FakeAccount
) -> None:
    before = len(account.statements())
    for operation, arguments in OPERATIONS.items():
        result = dbt.operation(operation, dry_run=True, **arguments)
        assert result.ok, result.failures
        assert_kept(SNAPSHOTS / f"{operation}.sql", without_module(result.printed))
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
def test_every_relation_with_customer_has_its_policy_from_its_first_moment(
    account: FakeAccount,
) -> None:
    state = account.state()
    connection = account.connect()
    columns = connection.cursor().execute(
        "select table_name, column_name from information_schema.columns "
        "where table_schema in ('ACTIVITIES', 'ACTIVITIES_ACCESS')"
    )
    by_table: dict[str, set[str]] = {}
    for table, column in columns.fetchall():
        by_table.setdefault(table, set()).add(column.upper())
    connection.close()
    assert len(by_table) > 20
    open_to_all = {
        "ACTIVITY_FEATURES",
        "ACTIVITY_VOCABULARY",
        "APPLIED_SETUP",
        "METRICFLOW_TIME_SPINE",
        "MODEL_PRICES",
        "SLO_TARGETS",
        "TEMPLATE_VERSIONS",
    }
    for table, names in by_table.items():
        schema = f"{SCHEMA}_ACCESS" if table == "CUSTOMER_ACCESS" else SCHEMA
        policy, column = state["row_access"].get(f"{schema}.{table}", (None, None))
        if table in ("CUSTOMER_ACCESS", "LANDING"):
            assert (
                policy == f"{SCHEMA}.{'ACCESS' if table == 'CUSTOMER_ACCESS' else 'LANDING'}_ROWS"
            ), table
        elif table in ("LEGAL_HOLDS", "ADDED_PEOPLE"):
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
    # what dbt makes meanwhile is guarded as well, or no other session's to see
    meanwhile = [
        " ".join(re.sub(r"/\*.*?\*/", " ", s["sql"], flags=re.DOTALL).split()).lower()
        for s in account.statements()
        if re.search(r"create or replace [^(]*__dbt_tmp", s["sql"], re.IGNORECASE)
    ]
    assert meanwhile
    assert [
        sql[:120]
        for sql in meanwhile
        if not sql.startswith("create or replace temporary ")
        and "row access policy" not in sql.partition(" as (")[0]
    ] == []


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
        "INSIGHT_ATOMS.SUBJECT",
        "INSIGHT_ATOMS.METRIC",
        "ARTIFACTS.URI",
        "QUARANTINED_EVENTS.RAW",
    ):
        assert f"{SCHEMA}.{column}" in masking
    # which takes out what stands under a sensitive key, too, and not only what looks like a secret
    assert masking[f"{SCHEMA}.QUARANTINED_EVENTS.RAW"] == f"{SCHEMA}.MASK_JSON_TEXT"


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


def test_a_relation_that_lost_its_policy_fails_a_data_test(
    account: FakeAccount, built: Dbt
) -> None:
    assert built("test", "--select", "every_relation_is_guarded").ok
    connection = account.connect()
    connection.cursor().execute(
        f"alter table insight_atoms drop row access policy {SCHEMA}.customer_rows"
    )
    failed = built("test", "--select", "every_relation_is_guarded")
    assert not failed.ok
    assert built.operation("apply_row_access").ok
    # its other column of the same policy keeps it
    connection.cursor().execute(
        f"alter table {SCHEMA}.provenance_chain modify column params unset masking policy"
    )
    assert not built("test", "--select", "every_relation_is_guarded").ok
    assert built.operation("apply_masking").ok
    assert built("test", "--select", "every_relation_is_guarded").ok
    connection.close()


def test_changed_policy_text_stops_a_build_until_it_is_applied(
    account: FakeAccount, built: Dbt
) -> None:
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
    assert "cdesk__allow_full_refresh" in " ".join(result.failures)


def test_what_the_policies_look_up_stands_where_no_reader_can_put_a_table_before_it(
    built: Dbt,
) -> None:
    """A temporary table needs USAGE alone:
    https://docs.snowflake.com/en/sql-reference/sql/create-table#access-control-requirements
    """
    looked_up = {
        name.rpartition(".")[0]
        for policy in ("customer_rows", "access_rows", "landing_rows", "internal_rows")
        for name in re.findall(r"(?:from|join)\s+([\w.]+)", body_of(policy))
    }
    assert looked_up == {f"{SCHEMA}_ACCESS"}
    reach: dict[str, set[str]] = {}
    for _, on, role in granted():
        reach.setdefault(on.removeprefix("schema "), set()).add(role)
    assert reach[f"{SCHEMA}_ACCESS"] == {"CDESK_TRANSFORMER", "CDESK_ADMIN"}
    on_tables = {grant[2] for grant in granted() if f"{SCHEMA}_ACCESS." in grant[1]}
    assert on_tables <= {"CDESK_TRANSFORMER", "CDESK_ADMIN"}
    assert built.operation("apply_row_access").ok


def test_entries_of_an_earlier_version_are_taken_over_before_their_table_goes(
    account: FakeAccount, built: Dbt
) -> None:
    connection = account.connect()
    cursor = connection.cursor()
    kept = cursor.execute(f"select * from {SCHEMA}_ACCESS.customer_access").fetchall()
    cursor.execute(f"delete from {SCHEMA}_ACCESS.customer_access")
    cursor.execute(
        "create table customer_access (principal_kind varchar, principal varchar, customer varchar)"
    )
    cursor.execute("insert into customer_access values ('user', 'OLD', 'old@example.com')")
    assert built.operation("setup_snowflake").ok
    moved = cursor.execute(f"select principal from {SCHEMA}_ACCESS.customer_access").fetchall()
    assert moved == [("OLD",)]
    assert built.operation("apply_row_access").ok
    tables = cursor.execute(
        "select table_schema from information_schema.tables where table_name = 'CUSTOMER_ACCESS'"
    ).fetchall()
    assert tables == [("ACTIVITIES_ACCESS",)]
    cursor.execute(f"delete from {SCHEMA}_ACCESS.customer_access")
    for entry in kept:
        cursor.execute(f"insert into {SCHEMA}_ACCESS.customer_access values (?, ?, ?)", entry)
    connection.close()


OWN_NAMES = {
    "reader": "CLAUDE_DESKTOP_ROLE",
    "query_warehouse": "COMPUTE_WH",
    "daily_monitor": "finance_daily",
}


def test_roles_warehouses_and_monitors_may_have_the_accounts_own_names(dbt: Dbt) -> None:
    own = replace(dbt, variables={**dbt.variables, "cdesk__snowflake_names": OWN_NAMES})
    printed = "\n".join(
        own.operation(operation, dry_run=True, **arguments).printed
        for operation, arguments in OPERATIONS.items()
        if operation in ("setup_snowflake", "apply_row_access", "apply_resource_monitors")
    )
    assert not re.search(r"\bCDESK_(READER|WH|DAILY)\b", printed)
    for name in OWN_NAMES.values():
        assert name.upper() in printed
    # what others use as well keeps its size, its timeouts and its life
    assert "alter warehouse COMPUTE_WH set auto_suspend" not in printed
    assert "alter warehouse CDESK_BUILD_WH set auto_suspend" in printed
    dropped = own.operation("teardown", dry_run=True, drop_data=True).printed
    assert not [name for name in OWN_NAMES.values() if name.upper() in dropped]
    assert "drop role if exists CDESK_LOADER" in dropped
    for wrong, says in (
        ({"reeder": "A"}, "reeder; allowed: query_warehouse"),
        ({"reader": "a; drop"}, "reader is a; drop; allowed: a name"),
    ):
        result = replace(
            dbt, variables={**dbt.variables, "cdesk__snowflake_names": wrong}
        ).operation("setup_snowflake", dry_run=True)
        assert not result.ok
        assert says in result.printed
    one = {"query_warehouse": "COMPUTE_WH", "build_warehouse": "COMPUTE_WH"}
    result = replace(dbt, variables={**dbt.variables, "cdesk__snowflake_names": one}).operation(
        "apply_resource_monitors", dry_run=True
    )
    assert "a warehouse has one monitor" in result.printed


@pytest.mark.parametrize(
    "text",
    [
        '{"z":1,"a":{"y":[1.10,12345678901234567890123456789012345678901234567890,1e400],"b":"ß \\" /"}}',
        '{"z":0.1,"token":"%s","a":[true,null,-0.0,1E5]}' % ("ghp_" + "a1B2" * 9),
        "no json at all",
        "null",
    ],
)
def test_masked_text_keeps_its_order_and_its_digits(text: str) -> None:
    """The very Python of the function behind `mask_json_text`."""
    body = body_of("mask_json_text", "apply_masking")
    assert "redact_json_text(value)" in body
    masked = redact_json_text()(text)
    if "ghp_" in text:
        assert masked == '{"z":0.1,"token":"[secret:token]","a":[true,null,-0.0,1E5]}'
    elif text.startswith("no"):
        assert masked == '"[unreadable]"'
    else:
        assert masked == text


@cache
def redact_json_text() -> Callable[[str], str]:
    """What `handler` names, made of the statement's text as Snowflake makes it."""
    printed = (SNAPSHOTS / "apply_masking.sql").read_text(encoding="utf-8")
    own = printed.split("redact_json_text(text varchar)", 1)[1].split("$$")[1]
    module = types.ModuleType("redact_json_text")
    source = own.replace(
        "# cdesk/contract/redaction\n",
        "import json\nfrom cdesk.contract.redaction.document import redact_value\n",
    )
    exec(source, module.__dict__)  # as Snowflake does
    return module.redact_json  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("operation", "arguments", "problem"),
    [
        ("apply_mcp_server", {"templates": ["no_such"]}, "templates names no_such; allowed: "),
        ("add_service", {"user": "x; y", "addresses": ["203.0.113.1"]}, "user is x; y; allowed"),
        (
            "add_service",
            {"user": "X", "addresses": ["anywhere"]},
            "addresses has anywhere; allowed",
        ),
        ("add_service", {"user": "X", "addresses": []}, "addresses has none; allowed"),
        (
            "add_service",
            {"user": "X", "addresses": ["203.0.113.1"], "workload_identity": "type = aws) --"},
            "workload_identity is type = aws) --; allowed",
        ),
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
        ("apply_retention", {"clones": ["x; y"]}, "clones has x; y; allowed: names of schemas"),
        ("apply_resource_monitors", {"daily_credits": 0}, "daily credits are 0; allowed"),
        ("apply_streams_tasks", {"every_seconds": 1}, "every_seconds is 1; allowed"),
        ("erase", {}, "customer is None; allowed: 1 to 255 characters"),
        ("teardown", {}, "say so with --args '{confirm: CLAUDE_LOGS}'"),
        ("teardown", {"confirm": "yes"}, "say so with --args '{confirm: CLAUDE_LOGS}'"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(
    compiled: Dbt, operation: str, arguments: dict[str, Any], problem: str
) -> None:
    result = compiled.operation(operation, **arguments)
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
        ("apply_semantic_view", {}),
        ("apply_mcp_server", {"templates": ["activity_counts"]}),
    ):
        for _ in range(2):
            result = built.operation(operation, **arguments)
            assert result.ok, result.failures


def test_the_owner_of_an_object_under_managed_access_may_not_grant_it(
    account: FakeAccount, built: Dbt
) -> None:
    """As the set-up and the semantic view once did, where their owner had just made them."""
    assert built  # the schema has its owner
    connection = account.connect(role="CDESK_TRANSFORMER")
    for what in ("procedure land_lines(varchar, varchar)", "semantic view claude_activity"):
        with pytest.raises(Exception, match=f"managed access schema {SCHEMA}, which CDESK_ADMIN"):
            connection.cursor().execute(f"grant usage on {what} to role CDESK_LOADER")
    connection.close()


def test_the_task_builds_what_has_landed_and_tests_once_a_day() -> None:
    """A build with a hundred tests and the account's views every minute costs more than it says; a
    task beside it would build at the same time.
    """
    text = (SNAPSHOTS / "apply_streams_tasks.sql").read_text(encoding="utf-8")
    assert re.findall(r"create or replace task \S+\.(\w+)", text) == ["build_on_landing"]
    assert "drop task if exists CLAUDE_LOGS.ACTIVITIES.build_daily;" in text
    first, _, others = text.partition("else\n")
    assert "if (builds_of_the_day = 0) then" in first
    assert re.findall(r"args = '([^']*)'", first) == ["build --target snowflake"]
    runs = re.findall(r"args = '([^']*)'", others)
    assert set(runs) == {"run --selector refresh_live --target snowflake"}


def test_a_stale_stream_is_made_anew_and_a_sound_one_kept(account: FakeAccount, built: Dbt) -> None:
    def made() -> list[str]:
        mark = len(account.statements())
        assert built.operation("apply_streams_tasks").ok
        return [s["sql"] for s in account.statements(mark) if " stream " in s["sql"].lower()]

    assert [sql for sql in made() if "or replace stream" in sql] == []
    with account.failing({"on": "stale", "name": f"{SCHEMA}.LANDING_STREAM"}):
        assert any("create or replace stream" in sql for sql in made())
    assert [sql for sql in made() if "or replace stream" in sql] == []


def test_what_goes_goes_from_clones_as_well(dbt: Dbt) -> None:
    """A clone that is gone keeps the rest of the task from nothing."""
    printed = dbt.operation("apply_retention", dry_run=True, clones=["activities_before"])
    task = next(s for s in printed.statements if s.startswith("create or replace task"))
    own, _, theirs = task.partition("\n    begin\n")
    assert "ACTIVITIES_BEFORE" not in own
    assert (
        own.count("delete from") == theirs.count("delete from CLAUDE_LOGS.ACTIVITIES_BEFORE.") == 8
    )
    assert "exception\n        when other then null;" in theirs


def test_a_clone_that_the_task_could_not_use_is_refused_with_the_grant(built: Dbt) -> None:
    """Nightly it would be passed by without a word."""
    result = built.operation("apply_retention", clones=["not_there"])
    assert not result.ok
    assert "grant usage on schema CLAUDE_LOGS.NOT_THERE to role CDESK_TRANSFORMER" in result.printed


def test_a_legal_hold_wins_over_retention(account: FakeAccount, built: Dbt) -> None:
    """The deletes that the macro prints, on tables of their own with old rows."""
    printed = built.operation("apply_retention", dry_run=True).statements
    deletes = [
        statement.replace(SCHEMA, "RETENTION.OLD")
        for statement in printed
        if statement.startswith("delete from")
    ]
    assert len(deletes) == 8
    connection = account.connect(database="RETENTION", schema="OLD")
    cursor = connection.cursor()
    old, later = "'2020-01-01'::timestamp_ntz", "'2020-06-01'::timestamp_ntz"
    for table in (
        "legal_holds as select 'Held' as customer",
        "context_cache as select column1 as customer, column2::timestamp_ntz as updated_at from values "
        "('held', '2020-01-01'), ('free', '2020-01-01'), ('free', '2099-01-01')",
        "events as select column1 as customer, column2::timestamp_ntz as _landed_at from values "
        "('held', '2020-01-01'), ('free', '2020-01-01'), ('free', '2099-01-01')",
        f"landing as select column1 as id, column2 as kind, parse_json(column3) as payload, {old} as landed_at from values "
        """('event of held', 'event', '{"customer": "held"}'), ('event of free', 'event', '{"customer": "free"}'), """
        """('event of nobody', 'event', '{"customer": null}'), ('quarantine', 'quarantine', '{"reason": "torn", "raw": "{"}'), """
        """('artifact', 'artifact', '{"customer": "free"}'), ('artifact of held', 'artifact', '{"customer": "held"}'), """
        """('insight', 'insight', '{"customer": "free"}')""",
        f"quarantined_events as select column1 as customer, {old} as landed_at from values ('held'), ('free'), (null)",
        f"artifacts as select column1 as artifact_id, column2 as customer, column3 as has_legal_hold, {old} as _landed_at, "
        f"{later} as expires_at from values ('flagged', 'free', true), ('artifact of held', 'held', false), ('artifact', 'free', false)",
    ):
        cursor.execute(f"create table {table}")

    def kept(column: str, table: str) -> list[Any]:
        found = cursor.execute(f"select {column} from {table}").fetchall()
        return sorted((row[0] for row in found), key=str)

    def passes() -> None:
        for delete in deletes:
            cursor.execute(delete)

    passes()
    assert kept("customer", "events") == ["free", "held"]
    assert kept("id", "landing") == [
        "artifact of held",
        "event of held",
        "event of nobody",
        "insight",
        "quarantine",
    ]
    assert kept("customer", "context_cache") == ["free", "held"]
    assert kept("customer", "quarantined_events") == [None, "held"]
    assert kept("artifact_id", "artifacts") == ["artifact of held", "flagged"]
    cursor.execute("delete from legal_holds")
    passes()
    assert kept("customer", "events") == ["free"]
    assert kept("id", "landing") == ["insight"]
    assert kept("customer", "quarantined_events") == []
    assert kept("artifact_id", "artifacts") == ["flagged"]
    connection.close()


def test_an_erased_customer_is_gone_and_stays_out(account: FakeAccount, built: Dbt) -> None:
    leaver = 'o\'leaver "x\\y" ? %s'
    old, new = (
        [event(number, seconds, leaver, feature_json={"note": "leaver's"})]
        for number, seconds in ((7001, 0), (7002, 10))
    )
    build = ("run", "--select", "_ingest_ids", "quarantined_events", "events", "context_cache")
    connection = account.connect()

    def rows(table: str) -> list[str]:
        return [
            row
            for row in map(str, connection.cursor().execute(f"select * from {table}").fetchall())
            if "leaver" in row
        ]

    def erased(at: str) -> None:
        assert built.operation("erase", customer=leaver, erased_at=at).ok

    land_on_snowflake(account, lines(old, "l-000001.ndjson"), LEAVING)
    assert built(*build).ok
    kept = connection.cursor().execute("select count(*) from events").fetchone()[0]
    assert rows("events")
    assert rows("landing")
    assert rows("context_cache")
    assert built.operation("legal_hold", customer=leaver.upper(), reason="case '1'").ok
    assert not built.operation("erase", customer=leaver).ok
    assert built.operation("legal_hold", customer=leaver, lift=True).ok
    erased("2026-01-31T12:00:05Z")
    for table in ("events", "landing", "context_cache", "erasures"):
        assert rows(table) == [], table
    land_on_snowflake(
        account, lines([*old, *new], "l-000002.ndjson"), LEAVING + timedelta(seconds=1)
    )
    assert len(rows("events_live")) == 1, "what came late stays out, a new beginning is kept"
    assert built(*build).ok
    assert len(rows("events")) == 1
    left = connection.cursor().execute("select count(*) from events").fetchone()[0]
    assert left == kept, "the others' are all there"
    erased("2026-01-31T12:00:15Z")
    assert rows("landing") == []
    assert connection.cursor().execute(
        "select count(*), count(distinct hash_key) from erasures"
    ).fetchone() == (2, 1)
    # Other tests compare the whole of these tables; a torn line is nobody's, and not erased.
    for table in ("landing", "_ingest_ids", "quarantined_events"):
        connection.cursor().execute(f"delete from {table} where source_file like 'l-00000%'")
    connection.cursor().execute("delete from erasures")
    connection.close()


def test_what_is_taken_out_goes_in_one_transaction(account: FakeAccount, built: Dbt) -> None:
    """dbt begins none on Snowflake, and a temporary table would commit it."""
    customer = "halfway@example.com"
    one = event(7003, 0, customer, source_system="claude_code")
    land_on_snowflake(account, lines([one], "l-000003.ndjson"), LEAVING)
    refused = built.operation("forget_histories", customer=customer)
    assert "1 lines of halfway@example.com have landed since the last build" in refused.printed
    assert built("run", "--select", "_ingest_ids", "events").ok
    connection = account.connect()

    def counts() -> list[tuple[int]]:
        return [
            connection.cursor().execute(f"select count(*) from {rows}").fetchone()
            for rows in (
                f"events where customer = '{customer}'",
                "_ingest_ids where source_file = 'l-000003.ndjson'",
                "erasures",
            )
        ]

    before = counts()
    for operation, last in (
        ("erase", r"delete from \S*\.landing\b"),
        ("forget_histories", r"update \S*\.events set activity_occurrence"),
    ):
        dies = {"on": "statement", "pattern": last, "code": "604", "message": "it is canceled"}
        with account.failing(dies):
            result = built.operation(operation, customer=customer)
        assert "it is canceled" in result.printed
        account.end_sessions()
        assert counts() == before
    assert built.operation("legal_hold", customer=customer, reason="case 1").ok
    with account.failing({**dies, "pattern": r"insert into \S*\.legal_holds"}):
        assert not built.operation("legal_hold", customer=customer, reason="case 2").ok
    account.end_sessions()
    held = f"select reason from legal_holds where customer = '{customer}'"
    assert connection.cursor().execute(held).fetchall() == [("case 1",)]
    assert built.operation("legal_hold", customer=customer, lift=True).ok
    assert before[0] == (1,)
    for table in ("landing", "_ingest_ids"):
        connection.cursor().execute(f"delete from {table} where source_file = 'l-000003.ndjson'")
    connection.cursor().execute(f"delete from events where customer = '{customer}'")
    connection.close()


def test_a_sandbox_without_policies_makes_what_set_up_would_have_made(
    account: FakeAccount, dbt: Dbt, tmp_path: Path
) -> None:
    account.profile(tmp_path, database="SANDBOX", schema="MINE", target="dev")
    sandbox = replace(dbt, profiles=tmp_path, variables={**dbt.variables, "cdesk__governed": False})
    with account.connect(database="SANDBOX", schema="MINE") as connection:
        cursor = connection.cursor()
        cursor.execute("create schema if not exists SANDBOX.MINE")
        for operation in ("create_landing", "create_legal_holds"):
            assert sandbox("run-operation", operation, target="dev").ok
        for table in ("landing", "legal_holds"):
            assert cursor.execute(f"select count(*) from SANDBOX.MINE.{table}").fetchone() == (0,)


def test_a_build_asks_for_no_schema_that_is_there(account: FakeAccount, built: Dbt) -> None:
    """`create schema if not exists` needs CREATE SCHEMA on the database even where the schema
    exists; the build's role hasn't that.
    """
    refusal = {"on": "statement", "pattern": r"^\s*create\s+schema", "code": 3001, "times": 99}
    with account.failing({**refusal, "message": "Insufficient privileges to operate on database"}):
        result = built("run", "--select", "vw_tool_events")
    assert result.ok, result.failures


def test_a_build_in_another_role_is_refused(account: FakeAccount, built: Dbt) -> None:
    """What it replaced would belong to that role from then on."""
    mark = len(account.statements())
    with account.failing({"on": "role", "name": "ACCOUNTADMIN"}):
        result = built("run", "--select", "vw_tool_events")
    assert not result.ok
    problem = " ".join(result.failures) + result.printed
    assert "role is ACCOUNTADMIN; builds run as CDESK_TRANSFORMER" in problem
    assert "SNOWFLAKE_ROLE=CDESK_TRANSFORMER dbt build" in problem
    assert not any("create or replace" in s["sql"].lower() for s in account.statements(mark))


READER, LOADER = "CDESK_READER", "CDESK_LOADER"
ENTRIES = "('user', 'ADA', 'ada@example.com'), ('user', 'bob', 'bob@example.com'), ('role', 'BI_TEAM', '*')"


def body_of(policy: str, operation: str = "apply_row_access") -> str:
    printed = (SNAPSHOTS / f"{operation}.sql").read_text(encoding="utf-8").split(";\n\n")
    return next(
        part.split("->\n", 1)[1]
        for part in printed
        if re.match(rf"alter .*\.{policy} set body", part)
    )


def in_session(
    body: str,
    role: str,
    *,
    user: str = "EVE",
    invoker: str | None = None,
    roles: tuple[str, ...] = (),
    **variables: str,
) -> str:
    """A policy's body as a session of that role and user evaluates it. `roles` are its other ones:
    secondary, or below its own.
    """
    in_force = ", ".join(f"'{name}'" for name in (role, *roles))
    body = re.sub(r"current_role\(\)", f"'{role}'", body)
    body = re.sub(r"current_user\(\)", f"'{user}'", body)
    body = re.sub(r"invoker_role\(\)", f"'{invoker or role}'", body)
    body = re.sub(r"is_role_in_session\(([^()]+)\)", rf"(\1 in ({in_force}))", body)
    return re.sub(
        r"getvariable\('(\w+)'\)",
        lambda found: f"'{variables[found[1]]}'" if found[1] in variables else "null",
        body,
    )


def templates_of(compiled: Dbt) -> dict[str, str]:
    nodes = json.loads(compiled.manifest().read_text(encoding="utf-8"))["nodes"].values()
    return {
        node["name"]: node["compiled_code"] for node in nodes if node["resource_type"] == "analysis"
    }


def test_no_template_asks_for_what_shows_readers_nothing(
    account: FakeAccount, compiled: Dbt
) -> None:
    """A view of ours may read it on their behalf; a template runs with its reader's rights."""
    policies = {
        relation.rpartition(".")[2].lower(): policy.rpartition(".")[2]
        for relation, (policy, _) in account.state()["row_access"].items()
    }
    assert policies["landing"] == "LANDING_ROWS"
    assert policies["_ingest_ids"] == "INTERNAL_ROWS"
    asked = {
        name: relations(re.sub(r"\?/\*\w+\*/", "?", sql))
        for name, sql in templates_of(compiled).items()
    }
    assert len(asked) > 40
    for name, found in asked.items():
        assert {policies.get(one, "CUSTOMER_ROWS") for one in found} <= {"CUSTOMER_ROWS"}, name


def test_a_reader_finds_what_was_imported_before_with_its_details_masked(
    account: FakeAccount, compiled: Dbt
) -> None:
    """Else an import that lost its notes would send again what was revised, as another content."""
    customer = "ada@example.com"
    sql = templates_of(compiled)["imported_records"].replace("?/*customer*/", f"'{customer}'")
    (relation,) = re.findall(r"from (\S*landed_imports)", sql)
    entries = f"(select * from (values {ENTRIES}) as e (principal_kind, principal, customer))"
    rows: dict[str, int] = {}
    with account.connect() as connection, connection.cursor() as cursor:
        rows["BUILDER"] = len(cursor.execute(sql).fetchall())
        for user in ("ADA", "BOB"):
            shown = in_session(body_of("customer_rows"), READER, user=user)
            shown = shown.replace(f"{SCHEMA}_ACCESS.customer_access", entries)
            shown = re.sub(r"\brow_customer\b", "landed.customer", shown)
            seen = f"(select landed.* from {relation} as landed where {shown})"
            rows[user] = len(cursor.execute(sql.replace(relation, seen)).fetchall())
    assert rows == {"BUILDER": 3, "ADA": 3, "BOB": 0}
    assert (
        account.state()["masking"][f"{SCHEMA}.LANDED_IMPORTS.RECORD"] == f"{SCHEMA}.MASK_DOCUMENT"
    )


def granted() -> list[tuple[str, str, str]]:
    """(privilege, on, role) of everything that the set-up grants."""
    found = []
    for operation in ("setup_snowflake", "apply_row_access", "apply_masking"):
        for privileges, on, role in re.findall(
            r"^grant (database role(?= )|[a-z ,]+(?= on ))(?: on)? (.+) to role (\w+?)"
            r"(?: copy current grants)?;$",
            (SNAPSHOTS / f"{operation}.sql").read_text(encoding="utf-8"),
            re.MULTILINE,
        ):
            found += [(privilege, on, role) for privilege in privileges.split(", ")]
    return found


def test_each_role_may_do_what_it_is_asked_to_do() -> None:
    """By what Snowflake documents of each command; who may do more than its work needs is not asked
    for.
    """
    grants = set(granted())
    schema = f"schema {SCHEMA}"
    assert {
        (
            "ownership",
            schema,
            "CDESK_ADMIN",
        ),  # in managed access only the schema's owner grants `apply`
        ("apply masking policy", "account", "CDESK_ADMIN"),  # alter tag … set masking policy
        ("create table", schema, "CDESK_TRANSFORMER"),
        ("usage", f"procedure {SCHEMA}.land_lines(varchar, varchar)", LOADER),
        ("create procedure", schema, "CDESK_TRANSFORMER"),
        ("select", f"table {SCHEMA}.landing", LOADER),  # what has landed already
    } <= grants
    assert not {privilege for privilege, on, _ in grants if on == "account"} - {
        "execute task",
        "apply masking policy",
        "apply row access policy",
    }
    # who may insert may say who they are
    assert not [grant for grant in grants if grant[0] == "insert"]
    assert not [
        grant for grant in grants if grant[0] in ("create schema", "manage grants", "create pipe")
    ]
    setup = (SNAPSHOTS / "setup_snowflake.sql").read_text(encoding="utf-8")
    assert setup.index("to role CDESK_ADMIN copy current grants") < setup.index(
        "use role CDESK_ADMIN"
    )
    assert setup.index("use role CDESK_ADMIN") < setup.index("create pipe if not exists")
    assert "grant ownership on pipe" not in setup  # for which it would have to be paused


def test_the_documentation_lists_every_privilege_and_operation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "snowflake.md").read_text(encoding="utf-8")
    listed: set[tuple[str, str, str]] = set()
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and (cells[0] == "all" or cells[0].startswith("CDESK_")):
            roles = (READER, LOADER, "CDESK_TRANSFORMER") if cells[0] == "all" else (cells[0],)
            listed |= {
                (privilege, on, role)
                for privilege in re.findall("`([^`]+)`", cells[1])
                for on in re.findall("`([^`]+)`", cells[2])
                for role in roles
            }
    objects = {
        "database CLAUDE_LOGS": "database",
        f"schema {SCHEMA}": "schema",
        f"schema {SCHEMA}_ACCESS": "access schema",
    }
    wanted = set()
    for privilege, on, role in granted():
        name = objects.get(on, on.replace(f" in schema {SCHEMA}", ""))
        if "policy " in name:
            name = "each policy"
        wanted.add(
            (
                privilege,
                re.sub(
                    rf"^(table|pipe|warehouse|procedure) |{SCHEMA}(_ACCESS)?\.", "", name
                ).replace(f"{SCHEMA}.", ""),
                role,
            )
        )
    assert wanted - listed == set()
    assert listed - wanted == set()
    for operation in OPERATIONS:
        assert f"dbt run-operation {operation}" in page, operation
