"""The tools as a client sees them are kept as a snapshot: a change is seen, and meant."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from bench.turn_path import fixtures
from cdesk.contract.catalog import load_catalog
from cdesk.contract.records import ACTIVITY_PATTERN, MAX_LINK, MAX_VALUE
from cdesk.core.home import StateDirectory
from cdesk.core.identity import ANALYST, Caller
from mcp_shim.tools import TOOLS, tool_list
from mcp_shim.tools.instructions import INSTRUCTIONS
from mcp_shim.tools.submit_query import SUBMIT_QUERY
from tests.snapshots import assert_kept

USER = Caller("ada")
ANALYST_CALLER = Caller("ada", frozenset((ANALYST,)))
SNAPSHOT = Path(__file__).with_name("tools.json")


@pytest.mark.snapshot
def test_the_tools_are_the_kept_ones() -> None:
    shown = {"instructions": INSTRUCTIONS, "tools": tool_list(None, USER)}
    assert_kept(SNAPSHOT, json.dumps(shown, indent=1, ensure_ascii=False) + "\n")


@pytest.mark.parametrize("tool", tool_list(None, USER), ids=TOOLS)
def test_every_tool_and_argument_is_described_and_bounded(tool: dict[str, object]) -> None:
    for name in ("inputSchema", "outputSchema"):
        schema = tool[name]
        assert isinstance(schema, dict)
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema["additionalProperties"] is False
    assert len(str(tool["description"])) > 100
    arguments = tool["inputSchema"]["properties"]  # type: ignore[index]
    for name, schema in arguments.items():
        assert schema.get("description") or name == "template", f"{name} is not described"
        if schema["type"] == "string":
            assert "maxLength" in schema or "pattern" in schema, f"{name} has no bound"
    assert tool["annotations"]["openWorldHint"] is False  # type: ignore[index]


def test_bounds_are_those_of_the_record_contract() -> None:
    tools = {tool["name"]: tool["inputSchema"]["properties"] for tool in tool_list(None, USER)}
    assert tools["log_event"]["activity"]["pattern"] == ACTIVITY_PATTERN
    assert tools["log_event"]["link"]["maxLength"] == MAX_LINK
    assert tools["log_insight"]["value"]["maxLength"] == MAX_VALUE
    assert TOOLS["log_event"].arguments == ("activity", "feature_json", "link", "revenue_impact")


def test_submit_query_lists_the_templates_with_their_parameters(
    state_home: StateDirectory,
) -> None:
    fixtures.catalog(state_home)
    tool = {tool["name"]: tool for tool in tool_list(load_catalog(state_home.catalog), USER)}[
        "submit_query"
    ]
    assert tool["inputSchema"]["properties"]["template"]["enum"] == ["recent_activities"]
    assert (
        "- recent_activities(hours_back: integer from 1 to 720 = 24; limit: integer from 1 to "
        "1000 = 100): The latest" in tool["description"]
    )


@pytest.mark.parametrize("scope", ["customer", "caller", "org"])
def test_what_submit_query_says_of_whose_data_it_shows_is_true_for_the_caller(
    state_home: StateDirectory, scope: str
) -> None:
    fixtures.catalog(state_home, scope=scope)
    catalog = load_catalog(state_home.catalog)
    own, all_of = (
        SUBMIT_QUERY.listed(catalog, caller)["description"] for caller in (USER, ANALYST_CALLER)
    )
    assert "they see this person's data alone." in own
    assert ("- recent_activities(" in own) is (scope != "org")
    assert "[all customers]" not in own
    assert "analyst role" in all_of
    assert ("[all customers]: The latest" in all_of) is (scope != "customer")


def test_instructions_name_only_tools_that_exist() -> None:
    named = set(re.findall(r"\b(?:get|log|submit)_[a-z]+\b", INSTRUCTIONS))
    assert named == set(TOOLS)


def test_a_tool_is_listed_under_its_name() -> None:
    assert [tool["name"] for tool in tool_list(None, USER)] == list(TOOLS)
