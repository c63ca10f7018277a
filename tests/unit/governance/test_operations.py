"""Which statements each operation runs on Snowflake, in which situation of the account, and what it
refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import duckdb
import pytest
from dbt.exceptions import CompilationError

from tests.unit.governance.account import Account, model, one_line

Made = Callable[..., Account]
ADA = {"user": "ada", "customer": "ada@example.com"}
HOSTS = {"user": "svc", "addresses": ["203.0.113.0/24", "198.51.100.7"]}
OPERATIONS: dict[str, dict[str, Any]] = {
    "setup_snowflake": {},
    "apply_row_access": {},
    "apply_masking": {},
    "apply_resource_monitors": {},
    "apply_streams_tasks": {},
    "apply_retention": {},
    "apply_mcp_server": {},
    "apply_semantic_view": {},
    "add_person": ADA,
    "add_service": HOSTS,
    "teardown": {"confirm": "DB"},
}


def asked(name: str, scope: str = "customer", **given: Any) -> dict[str, Any]:
    """A template of the project."""
    meta = {"scope": scope, **given.pop("meta", {})}
    return model(
        name,
        resource_type="analysis",
        description=f"It's {name}.",
        raw_code=given.pop("raw_code", "select {{ cdesk.bind('customer') }}"),
        config={"meta": meta},
        **given,
    )


def described(name: str, *columns: str) -> dict[str, Any]:
    return model(name, *({"name": one, "description": f"the  {one}"} for one in columns))


STREAM = [
    described("events", "activity", "customer", "ts", "activity_occurrence", "_session_id",
              "_source_system"),
    described("vw_llm_events", "activity", "model", "customer", "ts", "session_id"),
    described("insight_atoms", "subject", "metric", "customer", "ts", "verified", "is_current"),
]  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_runs_what_its_dry_run_prints_and_says_how_much(
    account: Made, operation: str
) -> None:
    arguments = OPERATIONS[operation]
    given = {"nodes": [*STREAM, asked("insights")], "relations": {"events"}}
    ran = account(**given).statements(operation, **arguments)
    own = account(**given)
    printed = own.dry(operation, **arguments)
    assert own.told == []
    # a relation that is described and not there is governed by a dry run alone
    attached = re.compile(r"alter (table|view) \S+ (add row access|modify column)")
    assert ran == [one for one in printed if not attached.match(one)]
    assert len(ran) > 2
    account_again = account(**given)
    account_again(operation, **arguments)
    assert account_again.told == [f"{operation}: {len(ran)} statements applied"]


BY_ITSELF = ("setup_snowflake", "apply_resource_monitors", "teardown")


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name not in BY_ITSELF])
def test_what_comes_after_the_set_up_says_so(account: Made, operation: str) -> None:
    bare = account(nodes=STREAM, relations={"events"}, target={"role": "SOME_ROLE"})
    bare.answers.clear()
    with pytest.raises(CompilationError, match=r"DB\.PUBLIC is not set up, or role SOME_ROLE may"):
        bare(operation, **OPERATIONS[operation])


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "apply_retention"])
def test_what_is_for_snowflake_is_refused_elsewhere(on_duckdb: Any, operation: str) -> None:
    with pytest.raises(CompilationError, match="--target snowflake"):
        Account(on_duckdb)(operation, **OPERATIONS[operation])


# -- policies


def attach(account: Made, *, policies: dict[str, list[str]], **given: Any) -> list[str]:
    """What is exchanged where these policies are there, on these relations."""
    answers = {
        f"policy_name => 'DB.PUBLIC.{policy}'": [
            {"ref_entity_name": one, "ref_column_name": "CUSTOMER"} for one in relations
        ]
        for policy, relations in policies.items()
    }
    there = {
        f"show row access policies like '{policy}' in schema DB.PUBLIC$": [{"name": policy}]
        for policy in policies
    }
    columns = {
        "information_schema.columns": [
            {"table": table, "type": kind, "column": column, "data_type": "VARCHAR"}
            for table, kind, column in (
                ("EVENTS", "BASE TABLE", "CUSTOMER"),
                ("VW_LLM_EVENTS", "VIEW", "CUSTOMER"),
                ("_INGEST_IDS", "BASE TABLE", "ID"),
                ("APPLIED_SETUP", "BASE TABLE", "STEP"),
            )
        ]
    }
    own = account(answers={**answers, **there, **columns}, **given)
    ran = own.statements("apply_row_access")
    for policy in ("customer_rows", "internal_rows", "landing_rows", "access_rows"):
        asked = any(f"policy_name => 'DB.PUBLIC.{policy}'" in one for one in own.ran)
        assert asked is (policy in policies), "of a policy that is not there nobody asks"
    return [one for one in ran if one.startswith(("alter table", "alter view", "drop"))]


ON_CUSTOMER = "add row access policy DB.PUBLIC.customer_rows on (customer)"


def test_a_relation_gets_its_policy_once_and_another_one_is_exchanged_in_one_step(
    account: Made,
) -> None:
    all_new = [
        f"alter table DB.PUBLIC.events {ON_CUSTOMER}",
        f"alter view DB.PUBLIC.vw_llm_events {ON_CUSTOMER}",
        "alter table DB.PUBLIC._ingest_ids add row access policy DB.PUBLIC.internal_rows on (id)",
    ]
    assert attach(account, policies={}) == all_new
    right = {"customer_rows": ["EVENTS", "VW_LLM_EVENTS"], "internal_rows": ["_INGEST_IDS"]}
    assert attach(account, policies=right) == []
    wrong = {"customer_rows": ["VW_LLM_EVENTS"], "internal_rows": ["EVENTS", "_INGEST_IDS"]}
    assert attach(account, policies=wrong) == [
        "alter table DB.PUBLIC.events drop row access policy DB.PUBLIC.internal_rows,"
        f" {ON_CUSTOMER}"
    ]


def test_a_masking_policy_is_looked_for_as_one(account: Made) -> None:
    own = account(answers={"show masking policies like 'mask_text'": [{"name": "MASK_TEXT"}]})
    assert own("_policy_exists", "DB.PUBLIC.mask_text") is True
    assert own("_policy_exists", "DB.PUBLIC.mask_link") is False
    assert own("_policy_exists", "DB.PUBLIC.customer_rows") is False


EARLIER = {"upper\\(table_name\\) = 'CUSTOMER_ACCESS'": [{"table_name": "CUSTOMER_ACCESS"}]}


def test_the_table_of_an_earlier_version_is_taken_over_and_then_dropped(account: Made) -> None:
    def changes(operation: str, **given: Any) -> list[str]:
        ran = account(**given).statements(operation)
        return [one for one in ran if "DB.PUBLIC.customer_access" in one]

    assert changes("setup_snowflake") == changes("apply_row_access") == []
    assert changes("setup_snowflake", answers=EARLIER) == [
        "insert into DB.PUBLIC_ACCESS.customer_access (principal_kind, principal, customer) "
        "select old.principal_kind, old.principal, old.customer from DB.PUBLIC.customer_access "
        "as old where not exists (select 1 from DB.PUBLIC_ACCESS.customer_access)"
    ]
    assert changes("apply_row_access", answers=EARLIER) == [
        "drop table if exists DB.PUBLIC.customer_access"
    ]


def test_it_is_looked_for_in_the_schema_of_the_tables(account: Made) -> None:
    with duckdb.connect() as connection:
        own = account(connection=connection)
        own.answers.clear()
        connection.execute("create schema PUBLIC; create schema PUBLIC_ACCESS")
        connection.execute("create table PUBLIC_ACCESS.CUSTOMER_ACCESS (a int)")
        connection.execute("create table PUBLIC.OTHERS (a int)")
        assert own("_has_earlier_access") is False
        connection.execute("create table PUBLIC.CUSTOMER_ACCESS (a int)")
        assert own("_has_earlier_access") is True
        connection.execute("create table PUBLIC_ACCESS.APPLIED_SETUP (a int)")
        with pytest.raises(CompilationError, match="is not set up"):
            own("_applied_steps")


@pytest.mark.parametrize("tags", [True, False])
def test_every_document_of_the_schema_is_masked_by_a_tag_unless_told_otherwise(
    account: Made, tags: bool
) -> None:
    arguments: dict[str, Any] = {} if tags else {"tags": False}
    ran = account().statements("apply_masking", **arguments)
    tagged = [one for one in ran if " tag " in one]
    assert (
        tagged
        == [
            "create tag if not exists DB.PUBLIC.sensitive allowed_values 'document'",
            "alter tag DB.PUBLIC.sensitive set masking policy DB.PUBLIC.mask_document force",
            "alter schema DB.PUBLIC set tag DB.PUBLIC.sensitive = 'document'",
        ]
        * tags
    )


ATTACHED = {
    "customer_rows": [("events", None), ("shown", None)],
    "internal_rows": [("others", None)],
    "mask_text": [("events", "NOTE"), ("events", "MORE"), ("others", "MORE")],
    "mask_link": [("events", "LINK"), ("events", "SUBJECT")],
}


@pytest.mark.parametrize(
    ("missing", "names"),
    [
        (None, []),
        (("customer_rows", ("events", None)), ["EVENTS CUSTOMER_ROWS"]),
        (("internal_rows", ("others", None)), ["OTHERS INTERNAL_ROWS"]),
        (("mask_text", ("events", "NOTE")), ["EVENTS MASK_TEXT on NOTE"]),
        (("mask_text", ("events", "MORE")), ["EVENTS MASK_TEXT on MORE"]),
        (("mask_link", ("events", "LINK")), ["EVENTS MASK_LINK on LINK"]),
    ],
)
def test_what_lacks_its_policy_is_found(
    account: Made, missing: tuple[str, tuple[str, str | None]] | None, names: list[str]
) -> None:
    held = (("EVENTS", "BASE TABLE", ("CUSTOMER", "NOTE", "MORE", "LINK")),
            ("SHOWN", "VIEW", ("CUSTOMER",)), ("OTHERS", "BASE TABLE", ("NAME", "MORE")))  # fmt: skip
    columns = {
        "information_schema.columns": [
            {"table": table, "type": kind, "column": column, "data_type": "VARCHAR"}
            for table, kind, own in held
            for column in own
        ]
    }
    sql = account(answers=columns)("unguarded")
    with duckdb.connect() as connection:
        for policy in re.findall(r"policy_references\(policy_name => '\S+\.(\w+)'\)", sql):
            rows = [
                f"('{table}', {'null' if column is None else repr(column)})"
                for table, column in ATTACHED.get(policy, [])
                if (policy, (table, column)) != missing
            ]
            sql = re.sub(
                rf"table\(\S+policy_references\(policy_name => '\S+\.{policy}'\)\)",
                f"(values {', '.join([*rows, '(null, null)'])}) as r (ref_entity_name, ref_column_name)",
                sql,
            )
        sql = sql.replace("select * from values", "values")
        found = [" ".join(row) for row in connection.execute(sql).fetchall()]
        assert found == names
        none = connection.execute(account()("default__unguarded")).fetchall()
        assert none == connection.execute(account()("unguarded")).fetchall() == []


# -- the set-up


def test_warehouses_roles_and_grants(account: Made) -> None:
    ran = account().statements("setup_snowflake")
    assert [one for one in ran if one.startswith("alter warehouse")] == [
        f"alter warehouse CDESK_{name} set auto_suspend = 60, auto_resume = true, "
        f"statement_timeout_in_seconds = {seconds}, statement_queued_timeout_in_seconds = {seconds}"
        for name, seconds in (("WH", 30), ("BUILD_WH", 1800))
    ]
    assert ran[0] == "create role if not exists CDESK_LOADER"
    assert "grant database role snowflake.usage_viewer to role CDESK_TRANSFORMER" in ran
    assert "grant execute task on account to role CDESK_TRANSFORMER" in ran
    owned = [one for one in ran if one.startswith("grant ownership")]
    assert len(owned) > 6
    assert all(one.endswith(" copy current grants") for one in owned)
    assert not [one for one in ran if "copy current" in one and "ownership" not in one]
    [pipe] = [one for one in ran if one.startswith("create pipe")]
    assert pipe.startswith("create pipe if not exists DB.PUBLIC.landing_pipe as copy into")
    assert "$1:source_offset::number(38, 0)," in pipe
    steps = [grant["step"] for grant in account()("snowflake_grants")]
    assert steps.count("land_lines") == steps.count("landing_pipe") == 1
    assert steps.count("apply_row_access") == 4
    assert steps.count("apply_masking") == 6
    assert steps.count("setup_snowflake") == len(steps) - 12 > 20


def test_names_are_cdesks_own_but_for_those_that_the_account_gives(account: Made) -> None:
    names = account()("_snowflake_names")
    assert (names["reader"], names["given"]) == ("CDESK_READER", [])
    given = {"reader": "desktop_role", "query_warehouse": "compute_wh"}
    own = account(variables={"cdesk__snowflake_names": given, "cdesk__snowflake_prefix": "two"})
    names = own("_snowflake_names")
    assert (names["reader"], names["loader"]) == ("DESKTOP_ROLE", "TWO_LOADER")
    assert names["given"] == ["reader", "query_warehouse"]
    ran = own.statements("setup_snowflake")
    assert not [one for one in ran if one.startswith("alter warehouse COMPUTE_WH")]
    assert [one for one in ran if one.startswith("alter warehouse TWO_BUILD_WH")]
    dropped = own.statements("teardown", confirm="DB")
    assert not [one for one in dropped if "COMPUTE_WH" in one or "DESKTOP_ROLE" in one]
    with pytest.raises(CompilationError, match="cdesk__snowflake_names: reeder; allowed: query_"):
        account(variables={"cdesk__snowflake_names": {"reeder": "A"}})("_snowflake_names")


# -- before a build


def checked(account: Made, **given: Any) -> None:
    """Check the set-up of an account in which everything is in force, but for what is given."""
    own = account()
    steps = {
        step: own("_fingerprint", own(sql))
        for step, sql in (
            ("apply_row_access", "_row_access_sql"),
            ("apply_masking", "_masking_sql"),
        )
    }
    steps |= given.pop("steps", {})
    session = {"role": "CDESK_TRANSFORMER", "warehouse": "WH", **given.pop("session", {})}
    answers = {
        "select step, fingerprint from DB.PUBLIC.applied_setup": [
            {"step": step, "fingerprint": text} for step, text in steps.items() if text
        ],
        r"select current_role\(\), current_warehouse\(\)": [session],
    }
    account(answers=answers, **given)("check_setup")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, None),
        ({"session": {"role": "ACCOUNTADMIN"}}, "role is ACCOUNTADMIN; builds run as CDESK_TRANS"),
        ({"session": {"warehouse": None}}, "warehouse  does not exist or role CDESK_TRANSFORMER"),
        ({"session": {"warehouse": None}, "target": {"warehouse": "W"}}, "warehouse W does not"),
        ({"steps": {"apply_masking": "old"}}, "policies of apply_masking are of another version"),
        ({"steps": {"apply_row_access": None}}, "policies of apply_row_access are not there"),
        ({"is_full_refresh": True}, "--full-refresh rebuilds all history"),
        ({"is_full_refresh": True, "target": {"name": "dev"}}, None),
        ({"is_full_refresh": True, "target": {"name": "ci"}}, None),
        ({"is_full_refresh": True, "variables": {"cdesk__allow_full_refresh": True}}, None),
        # a sandbox has no policies, and whatever role
        ({"session": {"role": "ME"}, "steps": {"apply_masking": None}, "target": {"name": "dev"},
          "variables": {"cdesk__governed": False}}, None),
    ],
)  # fmt: skip
def test_nothing_is_built_unguarded(
    account: Made, given: dict[str, Any], problem: str | None
) -> None:
    if problem is None:
        checked(account, **given)
    else:
        with pytest.raises(CompilationError, match=re.escape(problem)):
            checked(account, **given)


# -- people and services


def test_a_person_reads_and_lands_and_has_a_pipe_only_where_asked_for(account: Made) -> None:
    own = account()
    ran = own.statements("add_person", **ADA)
    assert ran[:3] == [
        "grant role CDESK_LOADER to user ADA",
        "grant role CDESK_READER to user ADA",
        "use role CDESK_TRANSFORMER",
    ]
    assert [re.findall(r"into (\S+)", one) for one in ran[3:]] == [
        ["DB.PUBLIC.added_people"],
        ["DB.PUBLIC_ACCESS.customer_access"],
    ]
    entry = "select 'user' as principal_kind, 'ADA' as principal, 'ada@example.com' as customer"
    assert all(entry in one for one in ran[3:])
    assert own.told == ["add_person: 5 statements applied"]
    ran = own.statements("add_person", streaming=True, **ADA)
    assert [one.split(" as copy")[0] for one in ran[5:]] == [
        "use role CDESK_ADMIN",
        "create pipe if not exists DB.PUBLIC.landing_pipe_ADA",
        "use role securityadmin",
        "create role if not exists CDESK_PIPE_ADA",
        "grant role CDESK_PIPE_ADA to user ADA",
        "grant role CDESK_LOADER to role CDESK_PIPE_ADA",
        "use role CDESK_ADMIN",
        "grant operate, monitor on pipe DB.PUBLIC.landing_pipe_ADA to role CDESK_PIPE_ADA",
    ]
    assert own.told[-1] == (
        "add_person: on their desktop: CDESK_SNOWFLAKE_PIPE=landing_pipe_ADA "
        "CDESK_SNOWFLAKE_PIPE_ROLE=CDESK_PIPE_ADA"
    )


def test_a_persons_customer_is_a_text_that_ends_no_literal(account: Made) -> None:
    assert account().statements("add_person", user="ada", customer="x" * 255)
    for wrong in ("", None, "x" * 256, "it's", "a\\b"):
        with pytest.raises(CompilationError, match=r"customer is .*; allowed: 1 to 255 characters"):
            account()("add_person", user="ada", customer=wrong)
    for wrong in ("", "a b", "1a", "a;", "x" * 101):
        with pytest.raises(CompilationError, match=r"user is .*; allowed: a name of letters"):
            account()("add_person", user=wrong, customer="ada")


@pytest.mark.parametrize(
    ("pipes", "is_allowed"),
    [
        (["landing_pipe", *(f"LANDING_PIPE_P{n}" for n in range(8))], True),
        (["landing_pipe", *(f"LANDING_PIPE_P{n}" for n in range(9))], False),
        (["landing_pipe", "landing_pipe_ada", *(f"LANDING_PIPE_P{n}" for n in range(8))], True),
        (["landing_pipe", "landing_pipe_ada", *(f"LANDING_PIPE_P{n}" for n in range(9))], True),
    ],
)
def test_ten_pipes_land_in_a_table(account: Made, pipes: list[str], is_allowed: bool) -> None:
    shown = {"^show pipes like 'landing_pipe%' in schema DB.PUBLIC$": [{"name": p} for p in pipes]}
    own = account(answers=shown)
    if is_allowed:
        assert len(own.statements("add_person", streaming=True, **ADA)) == 13
    else:
        with pytest.raises(CompilationError, match="landing has 10 pipes, and Snowflake allows 10"):
            own("add_person", streaming=True, **ADA)


def test_a_service_logs_in_from_its_hosts_by_key_or_token_alone(account: Made) -> None:
    ran = account().statements("add_service", **HOSTS)
    hosts = "('203.0.113.0/24', '198.51.100.7')"
    assert ran == [
        "create network rule if not exists DB.PUBLIC.service_hosts type = ipv4 mode = ingress "
        f"value_list = {hosts}",
        f"alter network rule DB.PUBLIC.service_hosts set value_list = {hosts}",
        "create network policy if not exists CDESK_SERVICE_HOSTS allowed_network_rule_list = "
        "('DB.PUBLIC.service_hosts')",
        "create authentication policy if not exists DB.PUBLIC.service_login "
        "authentication_methods = ('KEYPAIR', 'PROGRAMMATIC_ACCESS_TOKEN', 'WORKLOAD_IDENTITY') "
        "client_types = ('DRIVERS') pat_policy = ( default_expiry_in_days = 15, "
        "max_expiry_in_days = 90, network_policy_evaluation = ENFORCED_REQUIRED, "
        "require_role_restriction_for_service_users = true )",
        "create user if not exists SVC type = service",
        "alter user SVC set type = service, default_role = CDESK_SERVICE, default_warehouse = "
        "CDESK_WH, default_secondary_roles = (), network_policy = CDESK_SERVICE_HOSTS",
        "alter user SVC set authentication policy DB.PUBLIC.service_login force",
        "grant role CDESK_SERVICE to user SVC",
        "grant role CDESK_LOADER to user SVC",
        "use role CDESK_TRANSFORMER",
        *map(one_line, account()("_access_entry_sql", "loader", "SVC", "*")),
    ]
    with_key = account().statements("add_service", **HOSTS, public_key="abc=")
    assert [one for one in with_key if one not in ran] == [
        "alter user SVC set rsa_public_key = 'abc='"
    ]
    with pytest.raises(CompilationError, match="addresses has none; allowed: IPv4"):
        account()("add_service", user="svc", addresses=[])
    with pytest.raises(CompilationError, match="addresses has everywhere; allowed: IPv4"):
        account()("add_service", user="svc", addresses=["203.0.113.7", "everywhere"])


# -- what costs


def test_a_monitor_warns_and_suspends(account: Made) -> None:
    ran = account().statements("apply_resource_monitors")
    terms = (
        "credit_quota = {} frequency = {} start_timestamp = immediately triggers on 75 percent do "
        "notify on 95 percent do suspend on 100 percent do suspend_immediate"
    )
    daily, monthly = terms.format(15, "daily"), terms.format(400, "monthly")
    assert ran == [
        f"create resource monitor if not exists CDESK_DAILY with {daily}",
        f"alter resource monitor CDESK_DAILY set {daily}",
        "alter warehouse CDESK_WH set resource_monitor = CDESK_DAILY",
        f"create resource monitor if not exists CDESK_MONTHLY with {monthly}",
        f"alter resource monitor CDESK_MONTHLY set {monthly}",
        "alter warehouse CDESK_BUILD_WH set resource_monitor = CDESK_MONTHLY",
    ]
    whole = account().statements("apply_resource_monitors", account_monthly_credits=1)
    assert whole[-1] == "alter account set resource_monitor = CDESK_ACCOUNT"
    assert terms.format(1, "monthly") in whole[-2]
    one = {"query_warehouse": "ONE", "build_warehouse": "one"}
    with pytest.raises(CompilationError, match="ONE serves queries and builds, and a warehouse"):
        account(variables={"cdesk__snowflake_names": one})("apply_resource_monitors")
    for wrong in (0, 0.99, True, "5"):
        with pytest.raises(CompilationError, match="daily credits are"):
            account()("apply_resource_monitors", daily_credits=wrong)


# -- builds inside the account


TASK = """create or replace task DB.PUBLIC.build_on_landing warehouse = CDESK_BUILD_WH
user_task_minimum_trigger_interval_in_seconds = 60 user_task_timeout_ms = 1800000
suspend_task_after_num_failures = 10
when system$stream_has_data('DB.PUBLIC.landing_stream') as execute immediate $$ begin
insert into DB.PUBLIC.applied_setup (step) select id from DB.PUBLIC.landing_stream where 1 = 0;
let builds_of_the_day integer := ( select count(*) from DB.PUBLIC.applied_setup
where step = 'build_daily' and applied_at >= date_trunc('day', sysdate()) );
if (builds_of_the_day = 0) then
delete from DB.PUBLIC.applied_setup where step = 'build_daily';
insert into DB.PUBLIC.applied_setup (step, applied_at) select 'build_daily', sysdate();
execute dbt project DB.PUBLIC.cdesk args = 'build --target snowflake';
else begin
execute dbt project DB.PUBLIC.cdesk args = 'run --selector refresh_live --target snowflake';
exception when other then
execute dbt project DB.PUBLIC.cdesk args = 'run --selector refresh_live --target snowflake';
end; end if; end $$"""


def test_a_task_builds_what_has_landed_and_everything_once_a_day(account: Made) -> None:
    before = [
        "alter task if exists DB.PUBLIC.build_on_landing suspend",
        "drop task if exists DB.PUBLIC.build_daily",
    ]
    after = "alter task DB.PUBLIC.build_on_landing resume"
    stream = "DB.PUBLIC.landing_stream on table DB.PUBLIC.landing append_only = true"
    task = " ".join(TASK.split())
    ran = account().statements("apply_streams_tasks")
    assert ran == [*before, f"create stream if not exists {stream}", task, after]
    for seconds in (10, 604_800):
        ran = account().statements("apply_streams_tasks", every_seconds=seconds)
        assert ran[3] == task.replace("seconds = 60", f"seconds = {seconds}")
    for wrong in (9, 604_801, "60", 60.0):
        with pytest.raises(CompilationError, match=f"every_seconds is {wrong}; allowed: 10 to"):
            account()("apply_streams_tasks", every_seconds=wrong)
    assert account().statements("apply_streams_tasks", suspend=True) == before


@pytest.mark.parametrize(("stale", "made"), [("true", "or replace "), ("false", "")])
def test_a_stale_stream_is_made_anew(account: Made, stale: str, made: str) -> None:
    shown = "^show streams like 'landing_stream' in schema DB.PUBLIC$"
    row = {"name": "LANDING_STREAM", "stale": stale}
    own = account(answers={shown: [row]})
    [stream] = [one for one in own.statements("apply_streams_tasks") if " stream " in one]
    assert stream.startswith(f"create {made}stream ")


# -- what answers beside us


def test_a_reader_asks_the_catalogue_by_snowflakes_own_server(account: Made) -> None:
    parameters = [
        {"name": "days", "type": "integer", "required": False, "default": 30, "min": 1, "max": 90,
         "description": "How far."},
        {"name": "names", "type": "list[string]", "required": True, "description": "Which."},
        {"name": "unused", "type": "string", "required": True, "description": "No."},
    ]  # fmt: skip
    sql = "select {{ cdesk.bind('names') }}, {{ cdesk.bind('days') }}, {{ cdesk.bind('timezone') }}"
    template = asked(
        "counts",
        "caller",
        meta={"parameters": parameters},
        raw_code=f"{sql} where {{{{ cdesk.bind('customer') }}}} or {{{{ cdesk.bind('is_analyst') }}}}",
    )
    own = account(nodes=[template, *STREAM])
    made, granted, server, shown = own.statements("apply_mcp_server")
    assert made == (
        "create or replace function DB.PUBLIC.ask_counts(given_customer varchar, given_names "
        "varchar, given_days number default 30, given_timezone varchar default 'UTC') "
        "returns table (answer variant) language sql comment = 'It''s counts.' as $$ "
        "select to_variant(object_construct_keep_null(*)) as answer from ( "
        "select given_names, given_days, given_timezone where given_customer or true ) $$"
    )
    assert granted == (
        "grant usage on function DB.PUBLIC.ask_counts(varchar, varchar, number, varchar) "
        "to role CDESK_READER"
    )
    assert shown == "grant usage on mcp server DB.PUBLIC.claude_questions to role CDESK_READER"
    assert server.startswith("create or replace mcp server DB.PUBLIC.claude_questions from spec")
    [found] = own("_hosted_templates", None)
    described = own("_hosted_parameters", found)
    tool = own("_hosted_tool", "DB.PUBLIC.ask_counts", found, described)
    schema = tool["config"]["input_schema"]
    assert (tool["title"], tool["identifier"]) == ("Counts", "DB.PUBLIC.ASK_COUNTS")
    assert schema["required"] == ["given_customer", "given_names"]
    assert schema["properties"]["given_days"] == {
        "type": "integer", "description": "How far.", "minimum": 1, "maximum": 90, "default": 30,
    }  # fmt: skip
    assert schema["properties"]["given_names"]["description"] == "Which. A JSON array, as text."
    assert schema["properties"]["given_timezone"]["default"] == "UTC"


def test_a_template_may_have_a_time_zone_of_its_own(account: Made) -> None:
    zone = {"name": "timezone", "type": "string", "required": True, "description": "Theirs."}
    template = asked(
        "zoned", meta={"parameters": [zone]}, raw_code="select {{ cdesk.bind('timezone') }}"
    )
    found = account(nodes=[template])("_hosted_parameters", template)
    assert [(one["sql_name"], one["description"]) for one in found] == [
        ("given_timezone", "Theirs.")
    ]


def test_a_server_lists_what_readers_may_ask_and_fifty_at_most(account: Made) -> None:
    family = [asked(f"nth_{n:02}", meta={"family": "nth"}) for n in range(30)]
    own = [asked(f"q{n:02}", ("customer", "caller")[n % 2]) for n in range(20)]
    others = [
        asked("for_analysts", "org"),
        asked("for_ourselves", meta={"listed": False}),
        model("a_model", config={"meta": {"scope": "customer"}}),
    ]
    exact = account(nodes=[*family, *others, *own])
    names = [one["name"] for one in exact("_hosted_templates", None)]
    assert names == [f"q{n:02}" for n in range(20)] + [f"nth_{n:02}" for n in range(30)]
    assert exact.told == []
    more = account(nodes=[*family, *own, asked("z1"), asked("z2")])
    assert [one["name"] for one in more("_hosted_templates", None)][-1] == "nth_27"
    assert more.told == ["apply_mcp_server: left out, as a server lists 50 tools: nth_28, nth_29"]
    one_more = account(nodes=[*family, *own, asked("z1")])
    assert len(one_more("_hosted_templates", None)) == 50
    assert one_more.told[0].endswith("tools: nth_29")
    some = exact("_hosted_templates", ["q03", "nth_01"])
    assert [one["name"] for one in some] == ["q03", "nth_01"]
    for wrong in ("for_analysts", "for_ourselves", "a_model"):
        with pytest.raises(CompilationError, match=f"templates names {wrong}; allowed: nth_00, "):
            exact("_hosted_templates", ["q03", wrong])


def test_the_semantic_view_has_what_the_models_describe(account: Made) -> None:
    said = {"question": "What's new?", "sql": "select\n  'a'"}
    nodes = [
        *STREAM,
        described("others", "activity"),
        asked("counts", meta={"semantic_query": said}),
        asked("silent"),
        model("not_asked", config={"meta": {"semantic_query": said}}),
        {**described("events", "activity"), "resource_type": "seed"},
    ]
    own = account(nodes=nodes)
    ran = own.statements("apply_semantic_view")
    assert [ran[0], *ran[2:]] == [
        "use role CDESK_TRANSFORMER",
        "use role CDESK_ADMIN",
        "grant select on semantic view DB.PUBLIC.claude_activity to role CDESK_READER",
    ]
    view = ran[1]
    assert view.startswith("create or replace semantic view DB.PUBLIC.claude_activity tables (")
    assert "activities as DB.PUBLIC.events primary key (_activity_id)," in view
    assert "activities._session_id as _session_id comment = 'the _session_id'" in view
    assert (
        "insights.subject as case when not is_forgotten then subject end comment = 'the subject'"
        in view
    )
    assert "insights.customer as customer comment" in view
    assert " comment = 'What people do with Claude, what it costs, and what was learned'" in view
    assert view.endswith(
        "ai_verified_queries ( counts as ( question 'What''s new?' sql 'select ''a''' ) )"
    )
    with pytest.raises(CompilationError, match="insight_atoms describes no column subject"):
        account(nodes=STREAM[:2])("apply_semantic_view")


# -- what goes


def test_teardown_asks_for_its_word_and_leaves_the_data_unless_told_otherwise(
    account: Made,
) -> None:
    for word in (None, "yes", "db"):
        with pytest.raises(CompilationError, match="monitors and tasks; say so with --args"):
            account()("teardown", confirm=word)
    with pytest.raises(CompilationError, match="and DATABASE DB WITH ALL DATA; say so"):
        account()("teardown", drop_data=True)
    roles = [{"name": "CDESK_PIPE_ADA"}, {"name": "CDESKXPIPE_ADA"}]
    found = {"^show roles like 'CDESK_PIPE_%'$": roles}
    ran = account(answers=found).statements("teardown", confirm="DB")
    assert ran == [
        *(f"drop task if exists DB.PUBLIC.{task}"
          for task in ("build_on_landing", "build_daily", "apply_retention")),
        "drop stream if exists DB.PUBLIC.landing_stream",
        *(f"drop warehouse if exists CDESK_{name}" for name in ("WH", "BUILD_WH")),
        *(f"drop resource monitor if exists CDESK_{name}"
          for name in ("DAILY", "MONTHLY", "ACCOUNT")),
        "drop role if exists CDESK_PIPE_ADA",
        *(f"drop role if exists CDESK_{name}"
          for name in ("SERVICE", "READER", "LOADER", "TRANSFORMER", "ADMIN")),
    ]  # fmt: skip


def test_a_service_of_what_is_torn_down_can_log_in_no_more(account: Made) -> None:
    policies = [
        {"name": "SERVICE_LOGIN", "database_name": "DB", "schema_name": "PUBLIC"},
        {"name": "SERVICE_LOGIN", "database_name": "OTHER", "schema_name": "PUBLIC"},
    ]
    answers = {
        "^show authentication policies like 'service_login' in account$": policies,
        r"policy_name => 'DB\.PUBLIC\.service_login'\)\) where ref_entity_domain = 'USER'$": [
            {"ref_entity_name": "SVC"}
        ],
    }
    own = account(answers=answers)
    ran = own.statements("teardown", confirm="DB", drop_data=True)
    assert ran[4:9] == [
        'alter user "SVC" set disabled = true',
        'alter user "SVC" unset authentication policy',
        'alter user "SVC" unset network_policy',
        "drop network policy if exists CDESK_SERVICE_HOSTS",
        "drop database if exists DB",
    ]


def test_retention_is_a_task_of_the_night_and_runs_at_once(account: Made) -> None:
    own = account(relations={"events"})
    ran = own.statements("apply_retention")
    assert [one.partition(" as ")[0] for one in ran[:3]] == [
        "alter task if exists DB.PUBLIC.apply_retention suspend",
        "create or replace task DB.PUBLIC.apply_retention warehouse = CDESK_BUILD_WH "
        "schedule = 'USING CRON 17 3 * * * UTC'",
        "alter task DB.PUBLIC.apply_retention resume",
    ]
    body = ran[1].partition(" as ")[2]
    assert body == f"execute immediate $$ begin {'; '.join(ran[3:])}; end $$"
    days = [re.findall(r"dateadd\(day, -(\d+), sysdate\(\)\)", one) for one in ran[3:]]
    assert days == [["180"]] * 6 + [["90", "90", "30"], ["90", "30"], ["180"]]
    ran = own.statements("apply_retention", events_days=365, artifacts_days=91)
    assert "day, -365," in ran[3]
    assert "day, -91," in ran[9]
    with pytest.raises(CompilationError, match="apply_retention: nothing is built yet"):
        account()("apply_retention")
    with pytest.raises(CompilationError, match="clones has before, which isn't there"):
        own("apply_retention", clones=["before"])


@pytest.mark.parametrize(("what", "least"), [("events_days", 180), ("artifacts_days", 90)])
def test_what_is_kept_is_kept_for_so_long_at_least(account: Made, what: str, least: int) -> None:
    assert account(relations={"events"}).dry("apply_retention", **{what: least})
    for wrong in (least - 1, True, str(least), least + 0.5, None):
        with pytest.raises(CompilationError, match=f"{what} is {wrong}; allowed: a whole number"):
            account().dry("apply_retention", **{what: wrong})
