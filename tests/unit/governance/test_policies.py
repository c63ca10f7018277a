"""What each policy lets whom see, and which policy each relation and column gets: the policies' own
text, run by DuckDB as a session of that role and user would evaluate it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import duckdb
import pytest
from dbt.exceptions import CompilationError

from tests.unit.activity_schema.rendering import Renderer
from tests.unit.governance.account import Account, model

Made = Callable[..., Account]
READER, SERVICE, LOADER = "CDESK_READER", "CDESK_SERVICE", "CDESK_LOADER"
BUILDER, ADMIN = "CDESK_TRANSFORMER", "CDESK_ADMIN"
ENTRIES = """(values
    ('user', 'ada', 'ada@example.com'), ('user', 'BOB', 'bob@example.com'), ('user', 'BOSS', '*'),
    ('role', 'BI_TEAM', '*'), ('role', 'SALES', 'cy@example.com'),
    ('loader', 'CY', 'cy@example.com'), ('role', 'ada', '*'), ('user', 'BI_TEAM', 'cy@example.com')
)"""
ALL: list[str | None] = [None, "ada", "bob", "cy"]


@pytest.fixture(scope="module")
def bodies(on_snowflake: Renderer) -> dict[str, str]:
    """policy → the body that is in force, which is the one that it was made with."""
    account = Account(on_snowflake)
    found: dict[str, str] = {}
    for statement in account("_row_access_sql") + account("_masking_sql"):
        head, _, body = statement.partition("->\n")
        if made := re.match(r"create (?:row access|masking) policy if not exists \S+\.(\w+)", head):
            found[made[1]] = body
        elif set_ := re.match(r"alter (?:row access|masking) policy \S+\.(\w+) set body", head):
            assert found[set_[1]] == body, "an account that has the policy gets the same text"
    return found


def in_session(
    body: str, role: str, *, user: str = "EVE", roles: tuple[str, ...] = (), invoker: str = ""
) -> str:
    in_force = ", ".join(f"'{name}'" for name in (role, *roles))
    body = body.replace("current_role()", f"'{role}'").replace("current_user()", f"'{user}'")
    body = body.replace("invoker_role()", f"'{invoker or role}'").replace("iff(", "if(")
    return re.sub(r"is_role_in_session\(([^()]+)\)", rf"(\1 in ({in_force}))", body)


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for function in ("redact_document", "redact_json_text", "redact_text"):
            connection.execute(
                f"create macro {function}(a) as '{function}(' || coalesce(a, 'null') || ')'"
            )
        yield connection


def rows_of(
    engine: duckdb.DuckDBPyConnection,
    body: str,
    table: str,
    shown: str,
    variables: Mapping[str, str] | None = None,
) -> list[Any]:
    """What of a table's rows a policy shows."""
    for name, value in (variables or {}).items():
        engine.execute(f"set variable {name} = '{value}'")
    found = engine.execute(f"select {shown} from {table} where {body}").fetchall()
    for name in variables or {}:
        engine.execute(f"reset variable {name}")
    return sorted((row[0] for row in found), key=str)


@pytest.mark.parametrize(
    ("role", "session", "variables", "sees"),
    [
        (READER, {"user": "ADA"}, {}, ["ada"]),
        (READER, {"user": "BOB"}, {}, ["bob"]),
        (READER, {"user": "EVE"}, {}, []),
        (READER, {"user": "CY"}, {}, []),  # lands for cy, and reads nothing of it
        (READER, {"user": "BOSS"}, {}, ALL),
        (READER, {"user": "ADA", "roles": ("BI_TEAM",)}, {}, ALL),
        (READER, {"user": "EVE", "roles": ("SALES",)}, {}, ["cy"]),
        ("BI_TEAM", {"roles": (READER,)}, {}, ALL),
        (READER, {"user": "BI_TEAM"}, {}, ["cy"]),  # a user's name is no role's
        (READER, {"user": "ADA", "roles": (BUILDER, ADMIN, SERVICE)}, {}, ["ada"]),
        (READER, {"user": "EVE"}, {"CDESK_SCOPE": "org", "CDESK_CUSTOMER": "ada@example.com"}, []),
        (SERVICE, {"user": "ADA"}, {}, []),
        (SERVICE, {"user": "BOSS"}, {}, []),  # an entry of its user is none of who asks
        (SERVICE, {"roles": ("BI_TEAM",)}, {}, []),
        (SERVICE, {}, {"CDESK_CUSTOMER": "bob@example.com"}, ["bob"]),
        (SERVICE, {}, {"CDESK_CUSTOMER": "bob@example.com", "CDESK_SCOPE": "customer"}, ["bob"]),
        (SERVICE, {}, {"CDESK_SCOPE": "customer"}, []),
        (SERVICE, {}, {"CDESK_SCOPE": "org"}, ALL),
        (SERVICE, {}, {"CDESK_CUSTOMER": "*"}, []),
        (LOADER, {"user": "EVE"}, {"CDESK_SCOPE": "org"}, []),
        (BUILDER, {}, {}, ALL),
        (ADMIN, {}, {}, ALL),
        ("SYSADMIN", {"roles": (ADMIN, BUILDER)}, {}, []),
        (READER, {"invoker": BUILDER}, {}, []),  # a view of ours shows each reader their own
    ],
)  # fmt: skip
def test_a_session_sees_the_rows_of_its_customers(
    bodies: dict[str, str],
    engine: duckdb.DuckDBPyConnection,
    role: str,
    session: dict[str, Any],
    variables: dict[str, str],
    sees: list[str | None],
) -> None:
    body = in_session(bodies["customer_rows"], role, **session)
    # which is read through that table's own policy, as Snowflake nests them
    known = in_session(bodies["access_rows"], role, **session)
    known = known.replace("row_kind", "principal_kind").replace("row_principal", "principal")
    table = f"{ENTRIES} as e (principal_kind, principal, customer)"
    entries = f"(select * from {table} where {known})"
    body = body.replace("DB.PUBLIC_ACCESS.customer_access", entries)
    customers = ", ".join(f"('{one}@example.com', '{one}')" for one in ALL if one)
    table = f"(values {customers}, (null, null)) as r (row_customer, name)"
    assert rows_of(engine, body, table, "name", variables) == sees


@pytest.mark.parametrize(
    ("role", "session", "internal", "landing", "payload", "entries"),
    [
        (BUILDER, {}, True, True, "said", 8),
        (ADMIN, {}, True, True, "said", 8),
        (READER, {"user": "ADA"}, False, False, None, 1),
        (READER, {"user": "BI_TEAM"}, False, False, None, 1),
        (READER, {"user": "ADA", "roles": ("ada", BUILDER, ADMIN, LOADER)}, False, False, None, 2),
        (READER, {"invoker": BUILDER}, True, True, "said", 8),
        (READER, {"invoker": ADMIN}, False, False, None, 0),
        (LOADER, {"user": "CY"}, False, True, None, 0),
        (LOADER, {"invoker": BUILDER}, True, True, "said", 8),
        (SERVICE, {"user": "SERVICE", "roles": (LOADER,)}, False, False, None, 0),
    ],
)  # fmt: skip
def test_what_only_the_pipeline_reads_is_shown_to_nobody_else(
    bodies: dict[str, str],
    engine: duckdb.DuckDBPyConnection,
    role: str,
    session: dict[str, Any],
    internal: bool,
    landing: bool,
    payload: str | None,
    entries: int,
) -> None:
    found = {
        name: in_session(body, role, **session)
        for name, body in bodies.items()
        if name in ("internal_rows", "landing_rows", "access_rows", "mask_landing")
    }
    one = "(select 'said' as value)"
    for name, expected in (("internal_rows", internal), ("landing_rows", landing)):
        assert (rows_of(engine, found[name], one, "value") == ["said"]) is expected, name
    assert rows_of(engine, "true", one, found["mask_landing"]) == [payload]
    table = f"{ENTRIES} as e (row_kind, row_principal, row_customer)"
    assert len(rows_of(engine, found["access_rows"], table, "row_principal")) == entries


@pytest.mark.parametrize("role", [READER, SERVICE, LOADER, BUILDER, ADMIN])
def test_what_was_said_is_masked_for_all_but_builds_and_administrators(
    bodies: dict[str, str], engine: duckdb.DuckDBPyConnection, role: str
) -> None:
    is_whole = role in (BUILDER, ADMIN)
    expected = {
        "mask_document": "redact_document({})",
        "mask_json_text": "redact_json_text({})",
        "mask_text": "redact_text({})",
        "mask_link": "redact_text(path of {})",
    }
    for name, masked in expected.items():
        body = in_session(bodies[name], role).replace("DB.PUBLIC.", "")
        body = body.replace("regexp_substr(value, '[^?#]*')", "'path of ' || value")
        shown = engine.execute(
            f"select {body} from (values ('it'), (null)) as t (value)"
        ).fetchall()
        assert shown == [("it" if is_whole else masked.format("it"),), (None,)], name


@pytest.mark.parametrize(
    ("name", "kind", "closed", "named", "safe"),
    [
        ("payload", "VARIANT", "mask_landing", "mask_landing", "mask_landing"),
        ("anything", "VARIANT", "mask_document", "mask_document", "mask_document"),
        ("anything", "json", "mask_document", "mask_document", "mask_document"),
        ("anything", "VARCHAR(10)", "mask_text", None, None),
        ("anything", "text", "mask_text", None, None),
        ("anything", "character varying", "mask_text", None, None),
        ("anything", "NUMBER(38,0)", None, None, None),
        ("question", "TIMESTAMP_NTZ", None, None, None),
        ("question", "string", "mask_text", "mask_text", "mask_text"),
        ("value_text", "VARCHAR", "mask_text", "mask_text", "mask_text"),
        ("link", "VARCHAR", "mask_link", "mask_link", "mask_link"),
        ("uri", "VARCHAR", "mask_link", "mask_link", "mask_link"),
        ("context", "VARCHAR", "mask_json_text", "mask_json_text", "mask_json_text"),
        ("raw", "VARCHAR", "mask_json_text", "mask_json_text", "mask_json_text"),
        ("customer", "VARCHAR", None, None, None),
        ("query_hash", "VARCHAR", None, None, None),
    ],
)  # fmt: skip
def test_each_column_has_the_policy_of_its_type_and_name(
    account: Made, name: str, kind: str, closed: str | None, named: str | None, safe: str | None
) -> None:
    """`closed`: of a relation with customers, by default; `named`: of one that everybody reads."""
    asked = account()
    assert asked("_masking_policy", name, kind) == closed
    assert asked("_masking_policy", name, kind, true_of_everyone := True) == named
    assert true_of_everyone
    assert asked("_masking_policy", name, kind, safe=["anything"]) == safe


@pytest.mark.parametrize("kind", ["OBJECT", "array", "BINARY(8)", "VECTOR(FLOAT, 3)"])
def test_a_type_that_no_policy_covers_is_refused(account: Made, kind: str) -> None:
    with pytest.raises(CompilationError, match=f"column x is of type {re.escape(kind)}"):
        account()("_masking_policy", "x", kind)


def columns(*names: str) -> list[dict[str, Any]]:
    """Text, or what follows a colon."""
    split = [name.partition(":") for name in names]
    return [{"name": name, "dtype": kind or "VARCHAR"} for name, _, kind in split]


EVERYONE = {"audience": "everyone"}


@pytest.mark.parametrize(
    ("relation", "own", "meta", "rows", "masked"),
    [
        ("events", ("n:NUMBER", "CUSTOMER", "note"), {}, "customer_rows on (customer)",
         {"note": "mask_text"}),
        ("events", ("customer", "note"), EVERYONE, "customer_rows on (customer)", {}),
        ("events", ("customer", "note", "my_id"), {"safe": ["my_id"]},
         "customer_rows on (customer)", {"note": "mask_text"}),
        ("Landing", ("id", "payload:VARIANT"), {}, "landing_rows on (id)",
         {"payload": "mask_landing"}),
        ("customer_access", ("principal_kind", "principal", "customer"), {},
         "access_rows on (principal_kind, principal)", {}),
        ("legal_holds", ("customer", "reason"), {}, "internal_rows on (customer)", {}),
        ("added_people", ("principal_kind", "customer"), {}, "internal_rows on (principal_kind)",
         {}),
        ("prices", ("name", "question"), EVERYONE, None, {"question": "mask_text"}),
        ("others", ("n:NUMBER", "note", "more"), {}, "internal_rows on (note)",
         {"more": "mask_text"}),
        ("others", ("n:NUMBER",), EVERYONE, None, {}),
    ],
)  # fmt: skip
def test_a_relation_is_guarded_by_its_columns_and_closed_where_nobody_thought_of_it(
    account: Made,
    relation: str,
    own: tuple[str, ...],
    meta: dict[str, Any],
    rows: str | None,
    masked: dict[str, str],
) -> None:
    found = account()("_protection", relation, columns(*own), meta)
    assert found["row_access"] == (rows and f"DB.PUBLIC.{rows}")
    assert found["masks"] == {column: f"DB.PUBLIC.{policy}" for column, policy in masked.items()}
    assert found["columns"] == [one.partition(":")[0].lower() for one in own]


def test_a_type_that_is_guessed_says_only_what_the_name_tells(account: Made) -> None:
    guessed = [{"name": name, "dtype": "VARCHAR", "is_guessed": True} for name in ("note", "raw")]
    found = account()("_protection", "others", [*columns("customer"), *guessed], {})
    assert list(found["masks"]) == ["raw"]


def test_rows_that_nothing_can_guard_are_refused(account: Made) -> None:
    with pytest.raises(CompilationError, match="others: no column of type text to guard its rows"):
        account()("_protection", "others", columns("n:NUMBER"), {})


@pytest.mark.parametrize(
    ("variables", "target", "governed"),
    [
        ({}, "prod", True),
        ({"cdesk__governed": True}, "dev", True),
        ({"cdesk__governed": False}, "dev", False),
        ({"cdesk__governed": False}, "ci", False),
        ({"cdesk__governed": False}, "prod", None),
    ],
)
def test_only_a_sandbox_may_be_without_policies(
    account: Made, variables: dict[str, bool], target: str, governed: bool | None
) -> None:
    asked = account(variables=variables, target={"name": target})
    if governed is None:
        with pytest.raises(CompilationError, match="is for targets named dev or ci; this one is"):
            asked("_is_governed")
        return
    assert asked("_is_governed") is governed
    found = asked("_protection", "events", columns("customer", "note"), {})
    assert bool(found["masks"]) is (found["row_access"] is not None) is governed


@pytest.fixture
def catalog() -> Any:
    """Relations in the schema, in the one beside it, and others of their names elsewhere."""
    with duckdb.connect() as connection:
        for sql in (
            "create schema PUBLIC; create schema PUBLIC_ACCESS; create schema ELSEWHERE",
            "create table PUBLIC.LANDING (ID varchar, PAYLOAD integer)",
            "create table PUBLIC.EVENTS (TS timestamp, CUSTOMER varchar)",
            "create view PUBLIC.SHOWN as select CUSTOMER as WHO from PUBLIC.EVENTS",
            "create table PUBLIC_ACCESS.CUSTOMER_ACCESS (PRINCIPAL varchar)",
            "create table PUBLIC_ACCESS.OTHERS (A varchar)",
            "create view ELSEWHERE.EVENTS as select 1 as N",
            "create view ELSEWHERE.CUSTOMER_ACCESS as select 1 as N",
        ):
            connection.execute(sql)
        yield connection


def test_what_is_governed_is_what_stands_in_the_schema(account: Made, catalog: Any) -> None:
    found = account(connection=catalog)("_existing_relations")
    assert list(found) == ["customer_access", "events", "landing", "shown"]
    assert {
        name: (one["kind"], [(column["name"], column["dtype"]) for column in one["columns"]])
        for name, one in found.items()
    } == {
        "customer_access": ("table", [("principal", "VARCHAR")]),
        "events": ("table", [("ts", "TIMESTAMP"), ("customer", "VARCHAR")]),
        "landing": ("table", [("id", "VARCHAR"), ("payload", "INTEGER")]),
        "shown": ("view", [("who", "VARCHAR")]),
    }


def test_a_dry_run_governs_what_the_project_describes(account: Made) -> None:
    nodes = [
        model("events", "customer", "note", "params", {"name": "N", "data_type": "number"}),
        model("shown", "customer", config={"materialized": "view", "meta": {}}),
        model("never_made", "customer", config={"materialized": "ephemeral", "meta": {}}),
        model("undescribed"),
        model("prices", "note", resource_type="seed",
              config={"materialized": "seed", "meta": EVERYONE}),
        model("asked", "customer", resource_type="analysis"),
    ]  # fmt: skip
    found = {one["name"]: one for one in account(nodes=nodes)("_governed_relations", True)}
    own = ["landing", "customer_access", "added_people", "legal_holds", "build_marks"]
    assert list(found) == [*own, "events", "shown", "prices"]
    assert [found[name]["kind"] for name in ("events", "shown", "prices")] == [
        "table", "view", "table",
    ]  # fmt: skip
    assert found["customer_access"]["full_name"] == "DB.PUBLIC_ACCESS.customer_access"
    assert found["events"]["full_name"] == "DB.PUBLIC.events"
    assert found["events"]["protection"]["masks"] == {"params": "DB.PUBLIC.mask_document"}
    assert found["prices"]["protection"]["row_access"] is None
    described = account(nodes=nodes)("_described_relations")["events"]["columns"]
    assert [(one["name"], one["dtype"], one["is_guessed"]) for one in described] == [
        ("customer", "VARCHAR", True),
        ("note", "VARCHAR", True),
        ("params", "VARIANT", True),
        ("n", "number", False),
    ]


def test_what_everybody_may_know_of_the_set_up_needs_no_model(account: Made, catalog: Any) -> None:
    catalog.execute("create table PUBLIC.APPLIED_SETUP (STEP varchar)")
    catalog.execute("create table PUBLIC.OTHERS (STEP varchar)")
    found = account(connection=catalog)("_governed_relations", False)
    rows = {one["name"]: one["protection"]["row_access"] for one in found}
    assert rows["applied_setup"] is None
    assert rows["others"] == "DB.PUBLIC.internal_rows on (step)"
    assert rows["events"] == "DB.PUBLIC.customer_rows on (customer)"
