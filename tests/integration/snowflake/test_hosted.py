"""What Snowflake's own tools ask of this project: the functions and the server of
`apply_mcp_server`, the queries of `apply_semantic_view`. Their text, run on the stand-in.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from tests.integration.snowflake.account import FakeAccount
from tests.integration.snowflake.dbt_process import Dbt
from tests.integration.snowflake.records import CUSTOMERS

MOST_TOOLS = 50
"""https://docs.snowflake.com/en/user-guide/snowflake-cortex/cortex-agents-mcp"""
_FUNCTION = re.compile(
    r"create or replace function (\S+?)\((.*?)\)\n.*?\$\$\n(.*)\n\$\$$", re.DOTALL
)


@pytest.fixture(scope="module")
def hosted(dbt: Dbt) -> tuple[dict[str, tuple[list[str], str]], list[dict[str, Any]]]:
    """function → its arguments and body; the tools of the server."""
    result = dbt.operation("apply_mcp_server", dry_run=True)
    assert result.ok, result.printed
    functions = {
        found[1]: (found[2].split(", "), found[3])
        for statement in result.statements
        if (found := _FUNCTION.match(statement))
    }
    server = next(s for s in result.statements if s.startswith("create or replace mcp server"))
    return functions, yaml.safe_load(server.split("$$")[1])["tools"]


def test_every_tool_is_a_function_with_the_arguments_that_it_declares(
    hosted: tuple[dict[str, tuple[list[str], str]], list[dict[str, Any]]],
) -> None:
    functions, tools = hosted
    assert 30 < len(tools) <= MOST_TOOLS
    assert len({tool["name"] for tool in tools}) == len(tools) == len(functions)
    by_identifier = {name.upper(): said for name, said in functions.items()}
    for tool in tools:
        assert tool["type"] == "GENERIC"
        assert tool["config"]["type"] == "function"
        arguments, body = by_identifier[tool["identifier"]]
        schema = tool["config"]["input_schema"]
        names = [argument.split()[0] for argument in arguments]
        assert list(schema["properties"]) == names
        required = [argument.split()[0] for argument in arguments if " default " not in argument]
        assert schema["required"] == required == names[: len(required)]
        assert "?" not in re.sub(r"'[^']*'", "", body), "nothing is left to bind"
        assert set(re.findall(r"\bgiven_\w+", body)) == set(names)
        # what only our own software asks, or an analyst, is not among them
        assert tool["name"] not in ("data_fingerprint", "top_customers", "imported_records")


def test_a_hosted_question_answers_as_the_template_does(
    account: FakeAccount,
    built: Dbt,
    hosted: tuple[dict[str, tuple[list[str], str]], list[dict[str, Any]]],
) -> None:
    functions, _ = hosted
    del built
    arguments, body = functions["CLAUDE_LOGS.ACTIVITIES.ask_activity_counts"]
    assert arguments[:2] == ["given_customer varchar", "given_days_back number default 30"]
    for name, value in (
        ("given_customer", f"'{CUSTOMERS[0]}'"),
        ("given_days_back", "36500"),
        ("given_limit", "2"),
    ):
        body = re.sub(rf"\b{name}\b", value, body)
    # DuckDB knows no object of all columns
    body = body.replace("to_variant(object_construct_keep_null(*)) as answer", "*")
    connection = account.connect()
    found = connection.cursor().execute(body).fetchall()
    counted = (
        connection.cursor()
        .execute(
            "select activity, count(*) from events_live where customer = ? "
            "group by 1 order by 2 desc, 1 limit 2",
            (CUSTOMERS[0],),
        )
        .fetchall()
    )
    connection.close()
    assert [row[:2] for row in found] == counted
    assert len(found) == 2


SEMANTIC = {
    "activity_counts": (["activity", "activity_count"], 0),
    "llm_usage": (["model", "input_tokens", "output_tokens"], 1),
    "insights": (["subject", "metric", "ts", "verified"], 0),
}
"""template → the columns of its verified query, and the first that is compared"""


def test_a_verified_query_finds_what_its_template_finds(
    account: FakeAccount, dbt: Dbt, compiled: Dbt
) -> None:
    """Over the names of the view, for one customer, as the row policy shows a person."""
    printed = dbt.operation("apply_semantic_view", dry_run=True).statements[1]
    tables = dict(re.findall(r"^\s+(\w+) as (CLAUDE_LOGS\.\S+) primary key", printed, re.MULTILINE))
    queries = dict(re.findall(r"(\w+) as \(\s+question '.*?'\s+sql '(.*)'", printed))
    assert queries.keys() == SEMANTIC.keys()
    nodes = json.loads(compiled.manifest().read_text(encoding="utf-8"))["nodes"].values()
    templates = {
        node["name"]: node["compiled_code"] for node in nodes if node["resource_type"] == "analysis"
    }
    connection = account.connect()
    cursor = connection.cursor()
    binds = {
        "customer": f"'{CUSTOMERS[0]}'",
        "days_back": "36500",
        "limit": "1000",
        "period": "'day'",
        "timezone": "'UTC'",
        "subject": "null",
        "metric": "null",
    }
    for name, (columns, first) in SEMANTIC.items():
        rows = ", ".join(
            f"{alias} as (select {_dimensions(printed, alias)} from {table} "
            f"where customer = {binds['customer']})"
            for alias, table in tables.items()
        )
        theirs = cursor.execute(f"with {rows} {queries[name].replace(chr(39) * 2, chr(39))}")
        found = [row[first:] for row in theirs.fetchall()]
        sql = re.sub(r"\?/\*(\w+)\*/", lambda bind: binds[bind[1]], templates[name])
        ours = cursor.execute(f"select {', '.join(columns)} from ({sql})").fetchall()
        assert sorted(found, key=str) == sorted(ours, key=str), name
        assert found, name
    connection.close()


def _dimensions(statement: str, alias: str) -> str:
    """The columns that a verified query may name, as the view defines them, and those behind its
    metrics.
    """
    shown = re.findall(rf"^\s+{alias}\.(\w+) as (.*?) comment =", statement, re.MULTILINE)
    dimensions = {name: text for name, text in shown if "(" not in text}
    measured = {
        column: column
        for _, text in shown
        if "(" in text
        for column in re.findall(r"\w+", text.split("(")[1])
        if column not in ("distinct", "not", "and") and column not in dimensions
    }
    return ", ".join(f"{text} as {name}" for name, text in (dimensions | measured).items())


def test_a_forgotten_insight_shows_nothing_of_itself(dbt: Dbt) -> None:
    printed = dbt.operation("apply_semantic_view", dry_run=True).statements[1]
    insights = re.findall(r"^\s+insights\.(\w+) as (.*?) comment =", printed, re.MULTILINE)
    shown = {name: text for name, text in insights if name not in ("customer", "is_current")}
    assert {"subject", "metric", "ts", "insight_count"} <= shown.keys()
    assert [name for name, text in shown.items() if "not is_forgotten" not in text] == []


def test_a_server_of_some_templates_lists_those(dbt: Dbt) -> None:
    some = replace(dbt).operation("apply_mcp_server", dry_run=True, templates=["insights"])
    tools = yaml.safe_load(some.statements[-2].split("$$")[1])["tools"]
    assert [tool["name"] for tool in tools] == ["insights"]
