"""The tools as a client sees them are kept as a snapshot: a change is seen, and meant."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import jsonschema
import pytest

from bench.turn_path import fixtures
from cdesk.contract.catalog import load_catalog
from cdesk.contract.records import ACTIVITY_PATTERN, MAX_LINK, MAX_VALUE
from cdesk.core.home import StateDirectory
from mcp_shim.tools import TOOLS, tool_list
from mcp_shim.tools.instructions import INSTRUCTIONS

SNAPSHOT = Path(__file__).with_name("tools.json")


def test_the_tools_are_the_snapshot() -> None:
    """UPDATE_SNAPSHOT=1 renews the file; read the difference before you commit it."""
    found = (
        json.dumps(
            {"instructions": INSTRUCTIONS, "tools": tool_list(None)}, indent=1, ensure_ascii=False
        )
        + "\n"
    )
    if os.environ.get("UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(found, encoding="utf-8")
    assert found == SNAPSHOT.read_text(encoding="utf-8")


@pytest.mark.parametrize("tool", tool_list(None), ids=TOOLS)
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
    tools = {tool["name"]: tool["inputSchema"]["properties"] for tool in tool_list(None)}
    assert tools["log_event"]["activity"]["pattern"] == ACTIVITY_PATTERN
    assert tools["log_event"]["link"]["maxLength"] == MAX_LINK
    assert tools["log_insight"]["value"]["maxLength"] == MAX_VALUE
    assert TOOLS["log_event"].arguments == ("activity", "feature_json", "link", "revenue_impact")


def test_submit_query_lists_the_templates_with_their_parameters(
    state_home: StateDirectory,
) -> None:
    fixtures.catalog(state_home)
    tool = {tool["name"]: tool for tool in tool_list(load_catalog(state_home.catalog))}[
        "submit_query"
    ]
    assert tool["inputSchema"]["properties"]["template"]["enum"] == ["recent_activities"]
    assert (
        "- recent_activities(hours_back: integer from 1 to 720 = 24; limit: integer from 1 to 1000 = 100): The latest"
        in tool["description"]
    )


def test_instructions_name_only_tools_that_exist() -> None:
    named = set(re.findall(r"\b(?:get|log|submit)_[a-z]+\b", INSTRUCTIONS))
    assert named == set(TOOLS)


def test_a_tool_is_listed_under_its_name() -> None:
    assert [tool["name"] for tool in tool_list(None)] == list(TOOLS)
