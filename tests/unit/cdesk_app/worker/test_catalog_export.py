"""The exporter: what dbt compiled becomes the catalog, or the export fails and names template and
rule.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdesk.contract.catalog import TIMEZONE, load_catalog
from cdesk.core.errors import CatalogError
from cdesk_app.worker.dbt.catalog_export import export_catalog, template_of

NOW = "2026-01-31T12:00:00.000000Z"
HOURS = {
    "name": "hours_back",
    "type": "integer",
    "min": 1,
    "max": 720,
    "description": "How far back.",
}
SQL = (
    "-- a comment; with ? and 'quote\nselect activity, count(*) as n\n\nfrom events\n"
    "where customer = ?/*customer*/ and ts > current_timestamp - to_hours(?/*hours_back*/) -- end\n"
)


def node(
    sql: str = SQL, *, name: str = "activity_counts", raw: str = "", **meta: Any
) -> dict[str, Any]:
    declared = {"scope": "customer", "parameters": [HOURS], "example": {"hours_back": 24}, **meta}
    return {
        "name": name,
        "resource_type": "analysis",
        "original_file_path": f"analyses/safesql/{name}.sql",
        "description": "Counts by activity.",
        "raw_code": raw,
        "compiled_code": sql,
        "config": {"meta": declared},
    }


def manifest(folder: Path, *nodes: dict[str, Any]) -> Path:
    path = folder / "manifest.json"
    path.write_bytes(
        orjson.dumps({"nodes": {f"analysis.cdesk.{item['name']}": item for item in nodes}})
    )
    return path


def test_a_compiled_template_becomes_sql_with_positional_binds(tmp_path: Path) -> None:
    target = tmp_path / "catalog.json"
    report = export_catalog(manifest(tmp_path, node()), target, dialect="duckdb", now=NOW)
    assert report.changed
    assert report.templates == 1
    catalog = load_catalog(target)
    template = catalog.get("activity_counts")
    assert template.binds == ("customer", "hours_back")
    assert template.sql == (
        "select activity, count(*) as n\nfrom events\nwhere customer = ? and ts > "
        "current_timestamp - to_hours(?)"
    )
    assert template.check_params({"hours_back": 24}) == {"hours_back": 24}
    assert catalog.content_hash == report.content_hash


def test_an_unchanged_project_leaves_the_file_untouched(tmp_path: Path) -> None:
    target = tmp_path / "catalog.json"
    export_catalog(manifest(tmp_path, node()), target, dialect="duckdb", now=NOW)
    before = target.stat()
    report = export_catalog(
        manifest(tmp_path, node()), target, dialect="duckdb", now="2027-01-01T00:00:00.000000Z"
    )
    assert not report.changed
    assert (target.stat().st_mtime_ns, target.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


def test_a_changed_bound_changes_the_content_hash(tmp_path: Path) -> None:
    target = tmp_path / "catalog.json"
    first = export_catalog(manifest(tmp_path, node()), target, dialect="duckdb", now=NOW)
    wider = node(parameters=[{**HOURS, "max": 721}])
    second = export_catalog(manifest(tmp_path, wider), target, dialect="duckdb", now=NOW)
    assert second.changed
    assert second.content_hash != first.content_hash


def test_a_damaged_catalog_is_written_anew(tmp_path: Path) -> None:
    target = tmp_path / "catalog.json"
    target.write_text("{", encoding="utf-8")
    assert export_catalog(manifest(tmp_path, node()), target, dialect="duckdb", now=NOW).changed
    load_catalog(target)


def test_an_edited_catalog_is_written_anew_though_its_own_hashes_say_nothing(
    tmp_path: Path,
) -> None:
    target = tmp_path / "catalog.json"
    export_catalog(manifest(tmp_path, node()), target, dialect="duckdb", now=NOW)
    whole = target.read_bytes()
    document = orjson.loads(whole)
    document["templates"]["activity_counts"]["sql"] = "select 1"
    document["templates"]["mine"] = document["templates"]["activity_counts"]
    target.write_bytes(orjson.dumps(document))
    assert export_catalog(manifest(tmp_path, node()), target, dialect="duckdb", now=NOW).changed
    assert target.read_bytes() == whole


def test_a_broken_template_keeps_the_catalog_that_is_there(tmp_path: Path) -> None:
    target = tmp_path / "catalog.json"
    export_catalog(manifest(tmp_path, node()), target, dialect="duckdb", now=NOW)
    before = target.read_bytes()
    bad = node("select 1; select 2", name="bad")
    with pytest.raises(CatalogError, match="template bad: "):
        export_catalog(manifest(tmp_path, node(), bad), target, dialect="duckdb", now=NOW)
    assert target.read_bytes() == before


def test_a_template_that_binds_the_time_zone_has_it_as_a_parameter(tmp_path: Path) -> None:
    target = tmp_path / "catalog.json"
    sql = f"select 1 from events {OWN} and ts > ?/*hours_back*/ and x = ?/*timezone*/"
    export_catalog(manifest(tmp_path, node(sql)), target, dialect="duckdb", now=NOW)
    template = load_catalog(target).get("activity_counts")
    assert template.parameters[-1] == TIMEZONE
    assert template.check_params({"hours_back": 24}, timezone="Asia/Tokyo") == {
        "hours_back": 24,
        "timezone": "Asia/Tokyo",
    }
    declared = node(sql, parameters=[HOURS, {"name": "timezone", "type": "timezone"}])
    with pytest.raises(CatalogError, match="has it without that"):
        export_catalog(manifest(tmp_path, declared), target, dialect="duckdb", now=NOW)


def test_a_template_that_cdesk_asks_for_itself_says_so(tmp_path: Path) -> None:
    target = tmp_path / "catalog.json"
    for options in ({}, {"listed": True}, {"listed": False}):
        export_catalog(manifest(tmp_path, node(**options)), target, dialect="duckdb", now=NOW)
        template = load_catalog(target).get("activity_counts")
        assert template.listed is options.get("listed", True)
    with pytest.raises(CatalogError, match="listed is 'no'; allowed: true, false"):
        template_of(node(listed="no"), "duckdb")


def test_only_analyses_of_the_safesql_folder_are_templates(tmp_path: Path) -> None:
    other = node(name="scratch") | {"original_file_path": "analyses/scratch.sql"}
    report = export_catalog(
        manifest(tmp_path, node(), other), tmp_path / "c.json", dialect="duckdb", now=NOW
    )
    assert report.templates == 1


def test_windows_paths_in_the_manifest_are_understood(tmp_path: Path) -> None:
    there = node() | {"original_file_path": "analyses\\safesql\\activity_counts.sql"}
    report = export_catalog(
        manifest(tmp_path, there), tmp_path / "c.json", dialect="duckdb", now=NOW
    )
    assert report.templates == 1


def test_a_missing_manifest_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="cdesk refresh"):
        export_catalog(tmp_path / "none.json", tmp_path / "c.json", dialect="duckdb", now=NOW)


OWN = "where customer = ?/*customer*/"


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        (f"select ? as x from events {OWN}", "has no name"),
        (f"select ?/* hours back */ from events {OWN}", "a bind's name is"),
        (f"select ?/*other*/, ?/*hours_back*/ from events {OWN}", "bind other is not declared"),
        (f"select 1 from events {OWN}", "parameter hours_back is never bound"),
        ("select ?/*hours_back*/", "scope customer must bind customer"),
        (f"select ?/*hours_back*/, ?/*is_analyst*/ from events {OWN}", "may not bind is_analyst"),
        (f"select ?/*hours_back*/ {OWN}; drop table events", "more than one statement"),
        (f"delete from events {OWN} and 1 = ?/*hours_back*/", "starts with 'delete'"),
        ("values (?/*hours_back*/, ?/*customer*/)", "starts with 'values'"),
        (f"with x as (delete from events {OWN} and 1 = ?/*hours_back*/ returning *) select * from x",
         "it changes something"),
        (f"with x as (select ?/*hours_back*/ {OWN}) insert into events select * from x",
         "it changes something"),
        (f"select ?/*hours_back*/ from events {OWN} or customer = 'eve@example.com'",
         "compares customer with a literal"),
        (f"select ?/*hours_back*/, 'it\\'s' from events {OWN}", "backslash before a quote"),
        (f"select ?/*hours_back*/, $$x$$ from events {OWN}", "quoted with dollars"),
        (f"select ?/*hours_back*/, $1 from events {OWN}", r"a '\$' stands outside"),
        (f"select ?/*hours_back*/, 'open from events {OWN}", "a quote is not closed"),
        (f"select ?/*hours_back*/ /* a /* b */ from events {OWN}",
         "comment stands within a comment"),
        (f"select ?/*hours_back*/ from events {OWN} /* open", "a comment is not closed"),
        (f"select ?/*hours_back*/ from from events {OWN}", "DuckDB cannot parse it"),
        ("", "it is not compiled"),
        ("-- nothing", "it starts with ''"),
    ],
)  # fmt: skip
def test_sql_that_breaks_a_rule_is_refused_with_the_rule(sql: str, rule: str) -> None:
    with pytest.raises(CatalogError, match=f"^template activity_counts: .*{rule}"):
        template_of(node(sql), "duckdb")


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        (f"select ?/*hours_back*/, :1 from events {OWN}", "':1' is a bind without a name"),
        (f"select ?/*hours_back*/ from events {OWN} // comment", "starts a comment on Snowflake"),
    ],
)
def test_snowflakes_own_lexemes_are_refused(sql: str, rule: str) -> None:
    with pytest.raises(CatalogError, match=rule):
        template_of(node(sql), "snowflake")


@pytest.mark.parametrize(
    ("meta", "rule"),
    [
        ({"scope": "everyone"}, "scope is 'everyone'; allowed: customer, caller, org"),
        ({"colour": "red"}, "meta has 'colour'"),
        (
            {"parameters": [{**HOURS, "name": "customer"}]},
            "always comes from the caller's identity",
        ),
        ({"parameters": [HOURS, HOURS]}, "declared twice"),
        ({"parameters": [{**HOURS, "type": "sql"}]}, "has type 'sql'"),
        ({"parameters": [{**HOURS, "type": "list[list[integer]]"}]}, "has type"),
        ({"parameters": [{**HOURS, "description": ""}]}, "has no description"),
        ({"parameters": [{**HOURS, "min": 800}]}, "min is above max"),
        ({"parameters": [{**HOURS, "max": "many"}]}, "which is no number"),
        ({"parameters": [{**HOURS, "default": 1000}]}, "default does not hold"),
        (
            {"parameters": [{**HOURS, "required": True, "default": 24}]},
            "is required and has a default",
        ),
        ({"parameters": [{**HOURS, "type": "enum"}]}, "an enum has values"),
        ({"parameters": [{**HOURS, "colour": 1}]}, "parameter hours_back has 'colour'"),
        ({"example": {"hours_back": 0}}, "example does not hold: hours_back"),
        ({"example": {}}, "example does not hold: hours_back: missing"),
        ({"customers_behind_row": "activity"}, "scope customer has one customer's rows"),
    ],
)
def test_a_declaration_that_breaks_a_rule_is_refused_with_the_rule(
    meta: dict[str, Any], rule: str
) -> None:
    with pytest.raises(CatalogError, match=rule):
        template_of(node(**meta), "duckdb")


def test_the_column_that_counts_the_customers_of_a_row_stands_in_the_sql() -> None:
    counted: dict[str, Any] = {"scope": "org", "parameters": [], "example": {}}
    sql = "select count(distinct customer) as people from events"
    found = template_of(node(sql, **counted, customers_behind_row="people"), "duckdb")
    assert found.customers_behind_row == "people"
    with pytest.raises(CatalogError, match="'elsewhere', which does not stand in its SQL"):
        template_of(node(sql, **counted, customers_behind_row="elsewhere"), "duckdb")


def test_an_analysis_without_a_declaration_is_refused() -> None:
    with pytest.raises(CatalogError, match=r"has no config\.meta"):
        template_of(node() | {"config": {}}, "duckdb")


def test_a_template_that_renders_a_setting_into_its_sql_is_refused() -> None:
    with pytest.raises(CatalogError, match="a value is bound"):
        template_of(node(raw="select {{ var('customer') }}"), "duckdb")


@pytest.mark.parametrize(
    ("scope", "sql", "binds"),
    [
        ("customer", "select 1 where ?/*customer*/ = ?/*hours_back*/", ("customer", "hours_back")),
        ("caller", "select 1 where ?/*is_analyst*/ or ?/*customer*/ = ?/*hours_back*/",
         ("is_analyst", "customer", "hours_back")),
        ("org", "select ?/*hours_back*/ + ?/*hours_back*/", ("hours_back", "hours_back")),
    ],
)  # fmt: skip
def test_each_scope_binds_the_identity_that_it_needs(
    scope: str, sql: str, binds: tuple[str, ...]
) -> None:
    assert template_of(node(sql, scope=scope), "duckdb").binds == binds


@pytest.mark.parametrize("scope", ["caller", "org"])
def test_a_scope_without_its_identity_binds_is_refused(scope: str) -> None:
    with pytest.raises(CatalogError, match=f"scope {scope} m"):
        template_of(node(f"select ?/*hours_back*/ from events {OWN}", scope=scope), "duckdb")


def test_functions_that_are_named_like_statements_are_allowed() -> None:
    sql = (
        "select replace(activity, '?', 'a;b'), (values (1)), coalesce(insert(x, 1, 1, ''), '') "
        f"from events {OWN} and 1 < ?/*hours_back*/"
    )
    template = template_of(node(sql), "snowflake")
    assert template.binds == ("customer", "hours_back")
    assert "'?', 'a;b'" in template.sql


def test_lists_and_nested_calls_keep_their_order_of_binds() -> None:
    sql = (
        "with a as (select * from events where customer = ?/*customer*/ and "
        "list_contains(?/*names*/, activity)), "
        "b as (select * from a where list_contains(list_transform(?/*names*/, x -> lower(x)), "
        "activity)) "
        "select * from b limit ?/*hours_back*/"
    )
    names = {"name": "names", "type": "list[activity]", "min": 1, "max": 5, "description": "Which."}
    template = template_of(
        node(
            sql, parameters=[HOURS, names], example={"hours_back": 1, "names": ["cdesk.user_asked"]}
        ),
        "duckdb",
    )
    assert template.binds == ("customer", "names", "names", "hours_back")


def test_a_parameter_with_a_default_is_optional() -> None:
    template = template_of(
        node(parameters={"hours_back": {**HOURS, "default": 24}}, example={}), "duckdb"
    )
    assert template.check_params({}) == {"hours_back": 24}


TEXT = st.text(alphabet="ab ?'\"/*-;\n$", max_size=12)


@given(
    st.lists(
        st.one_of(TEXT.map(lambda t: "'" + t.replace("'", "''") + "'"), st.just("?/*hours_back*/")),
        min_size=1,
    )
)
def test_a_question_mark_within_a_string_is_never_a_bind(parts: list[str]) -> None:
    sql = (
        "select "
        + ", ".join([*parts, "?/*hours_back*/"])
        + " from events where customer = ?/*customer*/"
    )
    template = template_of(node(sql), "duckdb")
    assert template.binds == ("hours_back",) * (parts.count("?/*hours_back*/") + 1) + ("customer",)
    for part in parts:
        if part.startswith("'"):
            assert part in template.sql


def test_a_template_says_which_of_its_columns_are_evidence_and_without_that_none_is(
    tmp_path: Path,
) -> None:
    target = tmp_path / "catalog.json"
    export_catalog(
        manifest(tmp_path, node(evidence_columns={"n": "system"}), node(name="insights")),
        target,
        dialect="duckdb",
        now=NOW,
    )
    catalog = load_catalog(target)
    assert catalog.get("activity_counts").evidence_columns == {"n": "system"}
    assert catalog.get("insights").evidence_columns == {}


@pytest.mark.parametrize(
    ("declared", "rule"),
    [
        ([], "no mapping"),
        ({}, "no mapping"),
        (True, "no mapping"),
        ({"n": "mine"}, "basis 'mine'; allowed: system, reported, row"),
        ({"m": "system"}, "m does not stand in its SQL"),
        ({"hours_back": "system"}, "does not stand in its SQL"),
        ({"n": "row"}, "no column is named basis"),
    ],
)
def test_a_wrong_declaration_of_evidence_is_refused(declared: object, rule: str) -> None:
    with pytest.raises(CatalogError, match=rule):
        template_of(node(evidence_columns=declared), "duckdb")


def test_a_parameter_is_no_evidence_whatever_the_column_is_called() -> None:
    sql = f"{SQL} and hours_back is null"
    with pytest.raises(CatalogError, match="hours_back is a parameter"):
        template_of(node(sql, evidence_columns={"hours_back": "system"}), "duckdb")
