"""What clients send for what a schema wants."""

from __future__ import annotations

import pytest

from bench.turn_path import fixtures
from cdesk.contract.catalog import Parameter, load_catalog
from cdesk.core.home import StateDirectory
from mcp_shim.tools.arguments import as_sent, features_as_sent, params_as_sent
from mcp_shim.tools.tool import closed


@pytest.mark.parametrize(
    ("kind", "sent", "meant"),
    [
        ("object", '{"length":12}', {"length": 12}),
        ("object", ' {"a": {"b": []}}\n', {"a": {"b": []}}),
        ("object", "[1]", "[1]"),
        ("object", "null", "null"),
        ("array", '["a"]', ["a"]),
        ("integer", "4096", 4096),
        ("integer", "30.0", 30.0),
        ("integer", "true", "true"),
        ("integer", "4,096", "4,096"),
        ("integer", "0x10", "0x10"),
        ("number", "12.5", 12.5),
        ("number", "-1e3", -1000.0),
        ("number", "NaN", "NaN"),
        ("boolean", "true", True),
        ("boolean", "False", False),
        ("boolean", "1", "1"),
        ("boolean", 1, 1),
        ("string", "5", "5"),
        ("string", "true", "true"),
        (["string", "number", "boolean", "null"], "5", "5"),
        (["number", "null"], "5", 5),
    ],
)
def test_text_that_parses_to_what_the_schema_wants_is_that(
    kind: object, sent: object, meant: object
) -> None:
    for schema in (
        {"type": kind},
        {"anyOf": [{"type": one} for one in (kind if isinstance(kind, list) else [kind])]},
    ):
        found = as_sent(closed({"a": schema}, ("a",)), {"a": sent})["a"]
        assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize("nothing", [None, "", " \n"])
def test_nothing_is_absent_where_it_may_be_and_kept_where_it_may_not(nothing: object) -> None:
    schema = closed({"a": {"type": "string"}, "b": {"type": "integer"}}, ("a",))
    assert as_sent(schema, {"a": nothing, "b": nothing}) == {"a": nothing}


def test_a_templates_parameters_go_by_the_same_rule(state_home: StateDirectory) -> None:
    from dataclasses import replace

    fixtures.catalog(state_home)
    template = replace(
        load_catalog(state_home.catalog).get("recent_activities"),
        parameters=(
            Parameter("steps", "list[integer]"),
            Parameter("topic", "string", required=False, default="all"),
            Parameter("since", "date"),
        ),
    )
    given = {"steps": '["1", 2]', "topic": "", "since": "2026-01-31", "other": "1"}
    assert params_as_sent(template, given) == {
        "steps": [1, 2],
        "since": "2026-01-31",
        "other": "1",
    }


def test_the_details_of_an_activity_go_by_the_same_rule_and_its_declared_types() -> None:
    given = {
        "length": "12",
        "attachments": " ",
        "is_sidechain": "True",
        "topic": "5",
        "mood": "7",
        "question": None,
    }
    meant = {"length": 12, "is_sidechain": True, "topic": "5", "mood": "7", "question": None}
    assert features_as_sent("cdesk.user_asked", given) == meant
    assert features_as_sent("cdesk.user_asked", {"length": 3.0}) == {"length": 3}
    kept = {"length": 12, "mood": "7"}
    assert features_as_sent("cdesk.user_asked", kept) is kept, "nothing to do costs nothing"
    for activity, features in (
        ("cdesk.invoice_paid", {"length": "12"}),
        ("cdesk.user_asked", {"length": "twelve", "topic": 5}),
        (["cdesk.user_asked"], {"length": "12"}),
        ("cdesk.user_asked", "no object"),
    ):
        assert features_as_sent(activity, features) == features
