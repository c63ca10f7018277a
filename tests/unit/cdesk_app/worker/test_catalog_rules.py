"""Each rule of a template in its own words, what lies just within it, and what becomes of the rest:
the SQL without its comments, the entry of the catalog.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import orjson
import pytest

from cdesk.contract.catalog import TIMEZONE, Parameter, Template, load_catalog
from cdesk.core.errors import CatalogError
from cdesk_app.worker.dbt.catalog_export import (
    _META,
    _PARAMETER,
    _entry,
    _Rules,
    bind_positions,
    export_catalog,
    template_of,
)

HOURS = {"name": "hours_back", "type": "integer", "description": "How far back."}
SQL = "select activity, count(*) as n from events where customer = ?/*customer*/"
ALL = f"{SQL} and ts > ?/*hours_back*/"
ORG = {"scope": "org", "parameters": None}


def node(sql: str = ALL, *, name: str = "counts", **more: Any) -> dict[str, Any]:
    """An analysis of the manifest. more: of its meta, or of itself."""
    own = {key: more.pop(key) for key in [*more] if key not in _META | {"colour", "alpha"}}
    declared = {"scope": "customer", "parameters": [HOURS], "example": {"hours_back": 1}} | more
    return {
        "name": name,
        "resource_type": "analysis",
        "original_file_path": f"analyses/safesql/{name}.sql",
        "description": "Counts by activity.",
        "compiled_code": sql,
        "config": {"meta": declared},
    } | own


def refused(analysis: dict[str, Any], dialect: str = "duckdb") -> str:
    with pytest.raises(CatalogError) as caught:
        template_of(analysis, dialect)
    name, _, rule = str(caught.value).partition(": ")
    assert name == f"template {analysis['name']}"
    return rule


def with_parameter(**more: Any) -> dict[str, Any]:
    return node(parameters=[{**HOURS, **more}])


NAMED = "has no name of lower-case letters, digits and underscores"
NO_LIST = "safe_columns is no list of column names; leave it out where there is none"
NO_MAP = "evidence_columns is no mapping of column to basis; leave it out where there is none"
ROW_SQL = "select n, basis, hours_back from x where customer = ?/*customer*/ and ?/*hours_back*/"


@pytest.mark.parametrize(
    ("analysis", "rule"),
    [
        (node(name="Counts"), "its name is not lower-case letters, digits and underscores"),
        (node(name="a" * 65), "its name is not lower-case letters, digits and underscores"),
        (node(description=" "), "it has no description"),
        (node(description=None), "it has no description"),
        (node() | {"config": {}}, "it has no config.meta"),
        (node() | {"config": {"meta": {}}}, "it has no config.meta"),
        (node(colour=1, alpha=1), f"meta has 'alpha'; allowed: {', '.join(sorted(_META))}"),
        (node(scope=None), "scope is None; allowed: customer, caller, org"),
        (
            node(raw_code="{{ env_var ('X') }}"),
            "it renders var() or env_var() into its SQL; a value is bound",
        ),
        (node(""), "it is not compiled"),
        (node(parameters=7), "parameters is neither a list nor a mapping"),
        (node(parameters="hours_back"), "parameters is neither a list nor a mapping"),
        (node(parameters=[HOURS, HOURS]), "parameter hours_back is declared twice"),
        (node(parameters=["x"]), f"parameter 'x' {NAMED}"),
        (node(parameters=[{"type": "integer"}]), f"parameter {{'type': 'integer'}} {NAMED}"),
        (node(parameters=[{"name": "A"}]), f"parameter {{'name': 'A'}} {NAMED}"),
        (
            with_parameter(colour=1, alpha=1),
            f"parameter hours_back has 'alpha'; allowed: {', '.join(sorted(_PARAMETER))}",
        ),
        (
            with_parameter(name="is_analyst"),
            "parameter is_analyst is declared, but it always comes from the caller's identity",
        ),
        (
            with_parameter(name="timezone"),
            "parameter timezone is declared, but who binds it has it without that",
        ),
        (with_parameter(min=True), "parameter hours_back: min is True, which is no number"),
        (with_parameter(max="1"), "parameter hours_back: max is '1', which is no number"),
        (
            with_parameter(max_length=[]),
            "parameter hours_back: max_length is [], which is no number",
        ),
        (with_parameter(description=None), "parameter hours_back has no description"),
        (
            with_parameter(values=["a"]),
            "parameter hours_back: an enum has values, and nothing else has",
        ),
        (
            with_parameter(type="enum"),
            "parameter hours_back: an enum has values, and nothing else has",
        ),
        (with_parameter(min=2, max=1), "parameter hours_back: min is above max"),
        (
            with_parameter(required=True, default=1),
            "parameter hours_back is required and has a default",
        ),
        (node(f"{ALL} and ?/*other*/"), "bind other is not declared"),
        (node(SQL), "parameter hours_back is never bound"),
        (node("select ?/*hours_back*/"), "scope customer must bind customer"),
        (node(scope="org"), "scope org may not bind customer"),
        (node(scope="caller"), "scope caller must bind is_analyst"),
        (node(reuse="yes"), "reuse is 'yes'; allowed: true, false"),
        (node(listed=1), "listed is 1; allowed: true, false"),
        (node(safe_columns="activity"), NO_LIST),
        (node(safe_columns=["activity", 7]), NO_LIST),
        (node(safe_columns=["Activity"]), NO_LIST),
        (node(family=7), "family is no text; leave it out where there is none"),
        (node(family=" "), "family is no text; leave it out where there is none"),
        (node(evidence_columns=["n"]), NO_MAP),
        (node(evidence_columns={}), NO_MAP),
        (
            node(evidence_columns={"n": "mine"}),
            "evidence column n has basis 'mine'; allowed: system, reported, row",
        ),
        (
            node(evidence_columns={"n": "system", "m": "system"}),
            "evidence column m does not stand in its SQL",
        ),
        (
            node(evidence_columns={"n": "row"}),
            "evidence column n has basis row, but no column is named basis",
        ),
        *(
            (
                node(ROW_SQL, evidence_columns={name: "row"}),
                f"evidence column {name} is a parameter or the basis itself, which proves nothing",
            )
            for name in ("hours_back", "basis")
        ),
        (
            node(customers_behind_row="n"),
            "customers_behind_row is declared, but scope customer has one customer's rows",
        ),
        (
            node("select 1 as n", **ORG, customers_behind_row="m", example=None),
            "customers_behind_row is 'm', which does not stand in its SQL",
        ),
    ],
)
def test_a_rule_that_is_broken_is_told_in_one_line(analysis: dict[str, Any], rule: str) -> None:
    assert refused(analysis) == rule


@pytest.mark.parametrize("kind", ["sql", "list[string", "list[stringx", "aaaaastring]", "list[]"])
def test_a_type_is_one_of_the_known_or_a_list_of_them(kind: str) -> None:
    assert refused(with_parameter(type=kind)).startswith(
        f"parameter hours_back has type {kind!r}; allowed: string, integer, number"
    )


def test_what_does_not_hold_of_a_default_and_an_example_is_told() -> None:
    rule = refused(with_parameter(default=0, min=1))
    assert rule.startswith("parameter hours_back: its default does not hold: hours_back")
    rule = refused(node(example={"hours_back": "x"}))
    assert rule.startswith("its example does not hold: hours_back")


def test_everything_that_is_declared_is_in_the_template() -> None:
    declared = node(
        "select reached, n, basis from events where (?/*is_analyst*/ or customer = ?/*customer*/) "
        "and ts > ?/*hours_back*/ and list_contains(?/*kinds*/, kind) and x = ?/*timezone*/",
        scope="caller",
        description=" Counts\n  by activity. ",
        parameters={
            "hours_back": {**HOURS, "min": 1, "max": 1, "default": 1, "name": "hours_back"},
            "kinds": {
                "type": "list[enum]",
                "description": "Of which\n  kind.",
                "values": ["a", "b"],
                "max": 2.5,
            },
        },
        example={"kinds": ["a"]},
        reuse=False,
        listed=False,
        evidence_columns={"n": "system", "reached": "row"},
        safe_columns=["customer", "kind"],
        family="For each a,\n one b",
        customers_behind_row="reached",
        semantic_query={"question": "?", "sql": "select 1"},
    )
    found = template_of(declared, "duckdb")
    without_hash = Template(
        name="counts",
        description="Counts by activity.",
        scope="caller",
        parameters=(
            Parameter("hours_back", "integer", "How far back.", False, 1, 1, 1),
            Parameter("kinds", "list[enum]", "Of which kind.", True, max=2.5, values=("a", "b")),
            TIMEZONE,
        ),
        sql="select reached, n, basis from events where (? or customer = ?) and ts > ? and "
        "list_contains(?, kind) and x = ?",
        binds=("is_analyst", "customer", "hours_back", "kinds", "timezone"),
        example={"kinds": ["a"]},
        hash="",
        reuse=False,
        evidence_columns={"n": "system", "reached": "row"},
        safe_columns=("customer", "kind"),
        family="For each a, one b",
        listed=False,
        customers_behind_row="reached",
    )
    entry = _entry(without_hash)
    text = orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)
    assert found.hash == hashlib.sha256(text).hexdigest()[:16]
    assert _entry(found) == {**entry, "hash": found.hash}
    assert {name: getattr(found, name) for name in ("parameters", "example", "binds", "sql")} == {
        name: getattr(without_hash, name) for name in ("parameters", "example", "binds", "sql")
    }
    assert (entry["listed"], entry["customers_behind_row"]) == (False, "reached")


def test_what_is_not_declared_has_its_default() -> None:
    entry = _entry(template_of(node("select 1 as n", **ORG, example=None), "duckdb"))
    del entry["hash"]
    assert entry == {
        "name": "counts",
        "description": "Counts by activity.",
        "scope": "org",
        "parameters": [],
        "sql": "select 1 as n",
        "binds": [],
        "example": {},
        "reuse": True,
        "evidence_columns": {},
        "safe_columns": [],
        "family": None,
    }
    of_system = node("select 1 as n", **ORG, example=None, customers_behind_row="none")
    assert template_of(of_system, "duckdb").customers_behind_row == "none"
    for bounds in ({"min": 3}, {"max": 3}, {"min": 3, "max": 3}):
        template_of(node(parameters=[{**HOURS, **bounds}], example={"hours_back": 3}), "duckdb")


def test_a_catalog_holds_its_templates_in_order_with_their_digest(tmp_path: Path) -> None:
    target, manifest = tmp_path / "catalog.json", tmp_path / "manifest.json"
    nodes = {
        "b": node(name="b"),
        "a": node(name="a"),
        "of another kind": node(name="c") | {"resource_type": "model"},
        "elsewhere": node(name="d") | {"original_file_path": "x/analyses/safesql/d.sql"},
    }
    manifest.write_bytes(orjson.dumps({"nodes": nodes}))
    report = export_catalog(manifest, target, dialect="duckdb", now="2026-01-31")
    document = orjson.loads(target.read_bytes())
    assert [*document["templates"]] == ["a", "b"]
    assert (document["v"], document["dialect"], document["generated_at"]) == (
        *(1, "duckdb", "2026-01-31"),
    )
    assert (report.templates, report.changed) == (2, True)
    assert report.digest.startswith(report.content_hash)
    assert document["content_hash"] == report.content_hash == report.digest[:16]
    assert target.read_bytes().endswith(b"}\n")
    again = export_catalog(manifest, target, dialect="duckdb", now="2026-02-01")
    assert (again.changed, again.digest) == (False, report.digest)
    damaged = {**document, "templates": {"a": {**document["templates"]["a"], "sql": 7}}}
    target.write_bytes(orjson.dumps(damaged))
    assert export_catalog(manifest, target, dialect="duckdb", now="2026-02-01").changed
    assert load_catalog(target).get("a").sql.startswith("select activity")


# -- SQL


@pytest.mark.parametrize(
    ("sql", "out"),
    [
        (" select  1 -- c ?\n  from x ", "select 1\n  from x"),
        ("select\n\n\n  1", "select\n  1"),
        ("select/* c ? */1", "select 1"),
        ("select 1/* a *//* b */ ,2", "select 1 ,2"),
        ("select 1\t;", "select 1"),
        ("select 1; ;", "select 1;"),
        ("select '--' || \"/* ? */\" || 'it''s'", "select '--' || \"/* ? */\" || 'it''s'"),
        ("select 4 / 2 / 1 - -1", "select 4 / 2 / 1 - -1"),
        ("select 4 / *", "select 4 / *"),
        ("select 1 -- c\n-- d\n, 2", "select 1\n, 2"),
    ],
)
def test_comments_and_empty_lines_go_and_all_else_stays(sql: str, out: str) -> None:
    assert bind_positions(sql, _Rules("t"), "duckdb") == (out, ())


def test_binds_are_named_in_their_order() -> None:
    sql = "select ?/*b*/, ?/*a_1*/ + ?/*b*/"
    assert bind_positions(sql, _Rules("t"), "duckdb") == ("select ?, ? + ?", ("b", "a_1", "b"))


OPEN = "a comment is not closed"
NESTED = "a comment stands within a comment"
UNNAMED = "a '?' has no name; write {{ cdesk.bind('…') }}"
OUTSIDE = "a '$' stands outside of strings; write {{ cdesk.bind('…') }} for a bind"


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("select ?", UNNAMED),
        ("select ? /*a*/", UNNAMED),
        *(
            (
                f"select ?/*{name}*/",
                f"a bind's name is {name!r}; allowed: lower-case letters, digits, underscores",
            )
            for name in ("", "A", " a", "1a")
        ),
        (
            "select 'a\\' || 'b'",
            "a string has a backslash before a quote, which engines read in different ways",
        ),
        ("select $$a$$", "a string is quoted with dollars; write it with single quotes"),
        ("select $t$a$t$", "a string is quoted with dollars; write it with single quotes"),
        ("select 'a", "a quote is not closed"),
        ('select "a', "a quote is not closed"),
        ("select $1", OUTSIDE),
        ("select 1 /* open", OPEN),
        ("select 1 /* a /* b */", NESTED),
        ("select 1 /*/* b */", NESTED),
    ],
)
def test_what_engines_read_differently_is_refused(sql: str, rule: str) -> None:
    for dialect in ("duckdb", "snowflake"):
        with pytest.raises(CatalogError) as caught:
            bind_positions(sql, _Rules("t"), dialect)
        assert str(caught.value) == f"template t: {rule}"


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("select :1", "':1' is a bind without a name; write {{ cdesk.bind('…') }}"),
        ("select 1 // c", "'//' starts a comment on Snowflake"),
        ("select : 1", None),
        ("select a:b, 1", None),
        ("select 4 / 2", None),
        ("select 4 / / 2", None),
        ("select /1", None),
    ],
)
def test_what_snowflake_alone_reads_so_is_refused_there(sql: str, rule: str | None) -> None:
    assert bind_positions(sql, _Rules("t"), "duckdb") == (sql, ())
    if rule is None:
        assert bind_positions(sql, _Rules("t"), "snowflake") == (sql, ())
        return
    with pytest.raises(CatalogError) as caught:
        bind_positions(sql, _Rules("t"), "snowflake")
    assert str(caught.value) == f"template t: {rule}"


def org(sql: str) -> dict[str, Any]:
    return node(sql, **ORG, example=None)


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("values (1)", "it starts with 'values'; a template is one query: select … or with …"),
        ("((values (1)))", "it starts with 'values'; a template is one query: select … or with …"),
        ("-- c", "it starts with ''; a template is one query: select … or with …"),
        (
            f"{'x' * 40} 1",
            f"it starts with {'x' * 30!r}; a template is one query: select … or with …",
        ),
        ("select 1; select 2", "it holds more than one statement"),
        ("with a as (DELETE from b) select 1", "it changes something (delete from)"),
        ("with a as (select 1) insert into b", "it changes something (insert into)"),
        ("select 1 from (copy (select 1) to 'x')", "it changes something (copy ()"),
        ("select 1 from (merge)", "it changes something (merge ))"),
        (
            f"select 1 from (drop {'y' * 40})",
            f"it changes something (drop {'y' * 30})",
        ),
    ],
)
def test_what_is_no_query_of_one_statement_is_refused(sql: str, rule: str) -> None:
    assert refused(org(sql), "snowflake") == rule


@pytest.mark.parametrize(
    ("where", "literal"),
    [
        ("customer = 'eve'", "customer = '"),
        ("\"customer\" <> 'eve'", "customer\" <> '"),
        ("Customer!='eve'", "Customer!='"),
        ("x.customer in ('eve')", "customer in ('"),
        ("customer ilike 'eve'", "customer ilike '"),
        ("customer LIKE 'eve'", "customer LIKE '"),
    ],
)
def test_whose_rows_they_are_is_no_literal(where: str, literal: str) -> None:
    assert refused(org(f"select 1 from x where {where}")) == (
        f"it compares customer with a literal ({literal}); a value is bound"
    )


@pytest.mark.parametrize(
    "sql",
    [
        "(select 1)",
        "WITH a as (select 1) select 1",
        "select (insert(a, 1, 1, '')), (truncate(1.5, 1)) from b",
        "select 1 as update, a.delete from b",
        "select 1 from x where my_customer = 'eve' and customers = 'eve'",
        "select customer, 'eve' from x where customer is not null",
        "select ';' from x",
    ],
)
def test_what_only_looks_like_it_is_a_query(sql: str) -> None:
    assert template_of(org(sql), "snowflake").sql == sql


def test_duckdb_has_its_say_where_the_dialect_is_its(monkeypatch: pytest.MonkeyPatch) -> None:
    of_snowflake = "select 1 from from x"
    assert template_of(org(of_snowflake), "snowflake").sql == of_snowflake
    rule = refused(org(of_snowflake))
    assert rule.startswith("DuckDB cannot parse it: Parser Error: syntax error")
    assert "\n" not in rule
    one = duckdb.extract_statements("select 1")[0]
    copy = SimpleNamespace(type=duckdb.StatementType.COPY)
    for statements, told in (
        ([], "it holds more than one statement"),
        ([one, one], "it holds more than one statement"),
        ([copy], "DuckDB takes it for copy, which is no query"),
    ):
        monkeypatch.setattr(duckdb, "extract_statements", lambda _, found=statements: found)
        assert refused(org("select 1")) == told
