"""The tools as a client sees them are kept as a snapshot: a change is seen, and meant."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import orjson
import pytest

from bench.turn_path import fixtures
from cdesk.contract.catalog import Catalog, Parameter, load_catalog
from cdesk.contract.records import ACTIVITY_PATTERN, MAX_LINK, MAX_VALUE
from cdesk.core.home import StateDirectory
from cdesk.core.identity import ANALYST, Caller
from mcp_shim.tools import TOOLS, tool_list
from mcp_shim.tools import template_list as listing
from mcp_shim.tools.describe_template import DESCRIBE_TEMPLATE
from mcp_shim.tools.forget_insight import FORGET_INSIGHT
from mcp_shim.tools.get_context import GET_CONTEXT
from mcp_shim.tools.get_result import GET_RESULT
from mcp_shim.tools.instructions import INSTRUCTIONS
from mcp_shim.tools.log_event import LOG_EVENT
from mcp_shim.tools.log_insight import LOG_INSIGHT
from mcp_shim.tools.submit_query import SUBMIT_QUERY
from mcp_shim.tools.template_list import phrase, template_list
from mcp_shim.tools.tool import Tool
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
        assert schema.get("description"), f"{name} is not described"
        if schema.get("type") == "string":
            assert "maxLength" in schema or "pattern" in schema, f"{name} has no bound"
    assert tool["annotations"]["openWorldHint"] is False  # type: ignore[index]


def test_bounds_are_those_of_the_record_contract() -> None:
    tools = {tool["name"]: tool["inputSchema"]["properties"] for tool in tool_list(None, USER)}
    assert tools["log_event"]["activity"]["pattern"] == ACTIVITY_PATTERN
    assert tools["log_event"]["link"]["maxLength"] == MAX_LINK
    assert tools["log_insight"]["value"]["anyOf"][0]["maxLength"] == MAX_VALUE
    assert TOOLS["log_event"].arguments == ("activity", "feature_json", "link", "revenue_impact")


def with_templates(state_home: StateDirectory, count: int) -> Catalog:
    """The catalog of the benchmark with so many templates in it, all with long descriptions."""
    fixtures.catalog(state_home)
    catalog = load_catalog(state_home.catalog)
    (one,) = catalog.templates.values()
    long = f"{one.description} " * 5
    many = {
        name: dataclasses.replace(one, name=name, description=long)
        for name in (f"what_happened_in_case_{number}" for number in range(count))
    }
    return dataclasses.replace(catalog, templates=many)


def test_submit_query_lists_the_templates_with_their_parameters(
    state_home: StateDirectory,
) -> None:
    fixtures.catalog(state_home)
    shown = SUBMIT_QUERY.listed(load_catalog(state_home.catalog), USER)["description"]
    assert "- recent_activities(hours_back?, limit?): The latest" in shown


def test_what_cdesk_asks_for_itself_is_in_no_list(state_home: StateDirectory) -> None:
    catalog = with_templates(state_home, 2)
    (kept, own) = catalog.templates.values()
    templates = {kept.name: kept, own.name: dataclasses.replace(own, listed=False)}
    shown = SUBMIT_QUERY.listed(dataclasses.replace(catalog, templates=templates), USER)
    assert kept.name in shown["description"]
    assert own.name not in shown["description"]


@pytest.mark.parametrize(
    ("description", "said"),
    [
        ("What this day, week and month have cost so far, against limits.", "What this day, week…"),
        ("How often. And a count of it.", "How often"),
        ("How often: a count of all of it.", "How often: a count of…"),
        ("Short enough.", "Short enough"),
        ("Exactly of the length.", "Exactly of the length"),
        ("Not quite as long as..", "Not quite as long as"),
        ("Seven c; more of what there is.", "Seven c"),
        ("Six ch; more of what there is.", "Six ch; more of what…"),
        ("A part (of more) than there is", "A part (of more) than…"),
        ("A longer part (of more) than.", "A longer part"),
        ("The first one. The second one. A third.", "The first one"),
        ("The first.The second.One more.", "The first.The…"),
        ("Onewordthatislongerthanitis", "Onewordthatislongertha…"),
        ("For analysts: how often.", "how often"),
        ("  How often.  ", "How often"),
    ],
)
def test_a_phrase_ends_where_a_part_of_the_description_does(description: str, said: str) -> None:
    assert phrase(description, 22) == said


def test_the_list_takes_the_richest_form_that_fits(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = with_templates(state_home, 1).templates.values()
    long = "abcdefg " * 20
    templates = [
        dataclasses.replace(one, name="a", description=long),
        dataclasses.replace(one, name="b", description=long, listed=False),
        dataclasses.replace(one, name="c", description="Short."),
        dataclasses.replace(one, name="x_ever", family="Relate."),
    ]
    forms: list[str] = []
    most = 10_000
    for _ in range(9):
        monkeypatch.setattr(listing, "MAX_LIST", most)
        forms.append(template_list(templates, USER))
        most = len(forms[-1]) - 1
        monkeypatch.setattr(listing, "MAX_LIST", len(forms[-1]))
        assert template_list(templates, USER) == forms[-1], "to the last character"
    signature, family = "(hours_back?, limit?)", "- x_ever(hours_back?, limit?): Relate."
    assert forms == [
        *(
            f"- a{signature}: {'abcdefg ' * words}".rstrip() + f"…\n- c{signature}: Short\n{family}"
            for words in (9, 8, 7, 6, 5, 4)
        ),
        f"- a{signature}\n- c{signature}\n{family}",
        f"- a, c\n{family}",
        f"- a, c\n{family}",
    ]
    assert template_list([], USER) == ""


@pytest.mark.parametrize("count", [1, 30, 60, 100])
@pytest.mark.parametrize("caller", [USER, ANALYST_CALLER])
def test_the_list_of_tools_costs_3000_tokens_at_most_whatever_the_number_of_templates(
    state_home: StateDirectory, caller: Caller, count: int
) -> None:
    catalog = with_templates(state_home, count)
    listed = orjson.dumps({"tools": tool_list(catalog, caller)}).decode()
    assert len(listed) / 4 <= 3_000
    assert all(name in listed for name in catalog.templates)


def test_a_family_of_templates_is_listed_once_with_what_its_members_take(
    state_home: StateDirectory,
) -> None:
    (one,) = with_templates(state_home, 1).templates.values()
    more = Parameter("nth", "integer", required=True)
    members = [
        dataclasses.replace(
            one,
            name=name,
            family="Relate two activities.",
            parameters=(*one.parameters, more) if name.startswith("nth") else one.parameters,
        )
        for name in ("first_ever", "nth_ever", "first_before", "nth_before", "sum_all_ever")
    ]
    assert template_list(members, Caller("ada")) == (
        "- (first|nth)_(ever|before), sum_all_ever(hours_back?, limit?): Relate two activities."
    )


def test_a_parameter_that_has_to_be_given_stands_without_a_question_mark(
    state_home: StateDirectory,
) -> None:
    (one,) = with_templates(state_home, 1).templates.values()
    parameters = (
        Parameter("asked", "integer", required=True),
        Parameter("free", "integer", required=False),
        Parameter("timezone", "timezone", required=False),
    )
    listed = template_list([dataclasses.replace(one, parameters=parameters)], Caller("ada"))
    assert listed.startswith(f"- {one.name}(asked, free?): ")


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
    assert "[all]" not in own
    assert "analyst role" in all_of
    assert ("[all]: The latest" in all_of) is (scope != "customer")


def test_no_schema_has_a_list_of_types_which_several_clients_cannot_read() -> None:
    def types(schema: object) -> Iterator[object]:
        if isinstance(schema, dict):
            yield schema.get("type")
            for part in schema.values():
                yield from types(part)
        elif isinstance(schema, list):
            for part in schema:
                yield from types(part)

    found = list(types(tool_list(None, USER)))
    assert "object" in found
    assert not [kind for kind in found if isinstance(kind, list)]


def test_no_model_is_asked_for_what_it_cannot_know() -> None:
    asked = INSTRUCTIONS + json.dumps(tool_list(None, USER))
    for figure in ("input_tokens", "output_tokens", "latency_ms", "bytes)"):
        assert figure not in asked


def test_instructions_name_only_tools_that_exist() -> None:
    named = set(re.findall(r"\b(?:get|log|submit|describe|forget)_[a-z]+\b", INSTRUCTIONS))
    assert named == set(TOOLS)


def test_a_tool_is_listed_under_its_name() -> None:
    assert [tool["name"] for tool in tool_list(None, USER)] == list(TOOLS)
    assert list(TOOLS.values()) == [
        GET_CONTEXT,
        LOG_EVENT,
        SUBMIT_QUERY,
        DESCRIBE_TEMPLATE,
        GET_RESULT,
        LOG_INSIGHT,
        FORGET_INSIGHT,
    ]


def test_a_client_is_told_what_a_call_does_and_what_it_needs() -> None:
    def named(is_so: Callable[[Tool], bool]) -> set[str]:
        return {name for name, tool in TOOLS.items() if is_so(tool)}

    reads = {"get_context", "describe_template"}
    assert named(lambda tool: tool.read_only) == reads
    assert named(lambda tool: tool.destructive) == {"forget_insight"}
    assert named(lambda tool: tool.idempotent and not tool.read_only) == {
        *("submit_query", "get_result", "forget_insight"),
    }
    assert named(lambda tool: tool.needs_worker) == {"submit_query", "get_result"}
    assert named(lambda tool: tool.meta is not None) == {"get_result"}
    assert named(lambda tool: tool.dynamic is not None) == {"submit_query"}
    listed = {tool["name"]: tool for tool in tool_list(None, USER)}
    assert listed["get_result"]["_meta"] == {"ui": {"resourceUri": "ui://cdesk/card"}}
    assert listed["get_context"]["annotations"] == {"openWorldHint": False, "readOnlyHint": True}
    assert listed["log_event"]["annotations"] == {"openWorldHint": False, "destructiveHint": False}
    assert listed["forget_insight"]["annotations"] == {
        "openWorldHint": False,
        "destructiveHint": True,
        "idempotentHint": True,
    }
    assert all("_meta" not in tool for name, tool in listed.items() if name != "get_result")
