"""What clients send for what a schema wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bench.turn_path import fixtures
from cdesk.contract.catalog import Parameter, load_catalog
from cdesk.core.errors import InvalidField
from cdesk.core.home import StateDirectory
from mcp_shim.tools.arguments import (
    as_sent,
    boolean,
    features_as_sent,
    integer,
    named,
    params_as_sent,
    required,
    seconds,
)
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


def test_a_parameter_that_may_be_text_is_text(state_home: StateDirectory) -> None:
    fixtures.catalog(state_home)
    template = replace(
        load_catalog(state_home.catalog).get("recent_activities"),
        parameters=(Parameter("a", "string"), Parameter("b", "list[string]")),
    )
    given = {"a": "5", "b": ["5", "true"]}
    assert params_as_sent(template, given) == given


def test_what_is_no_text_or_of_no_known_argument_stays_as_it_is() -> None:
    schema = closed(
        {
            "a": {"type": "integer"},
            "b": {"anyOf": [{"type": "integer"}, {"type": ["number", "null"]}]},
            "c": {},
        }
    )
    given = {"a": [1], "b": {"x": "1"}, "unknown": "1", "c": "1"}
    assert as_sent(schema, given) == given
    assert as_sent(schema, {"b": "1.5", "unknown": None}) == {"b": 1.5}
    assert as_sent({**schema, "required": ["b"]}, {"a": "", "b": ""}) == {"b": ""}


@pytest.mark.parametrize("nothing", [None, "", " \n"])
def test_nothing_is_absent_where_it_may_be_and_kept_where_it_may_not(nothing: object) -> None:
    schema = closed({"a": {"type": "string"}, "b": {"type": "integer"}}, ("a",))
    assert as_sent(schema, {"a": nothing, "b": nothing}) == {"a": nothing}


def test_a_templates_parameters_go_by_the_same_rule(state_home: StateDirectory) -> None:
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
    assert params_as_sent(template, {"steps": None, "since": None, "topic": "5"}) == {
        "steps": None,
        "since": None,
        "topic": "5",
    }, "what has to be given is refused as it came"
    assert params_as_sent(template, {"steps": "5"}) == {"steps": "5", "since": None}


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


BIG = 2**63


@pytest.mark.parametrize(
    ("check", "value", "found"),
    [
        (lambda given: integer(given, "a", low=1, high=9, default=5), None, 5),
        (lambda given: integer(given, "a", low=1, high=9, default=None), None, None),
        (lambda given: integer(given, "a", low=1, high=9, default=5), 1, 1),
        (lambda given: integer(given, "a", low=1, high=9, default=5), 9.0, 9),
        (lambda given: seconds(given, "a", high=20.0), None, 0.0),
        (lambda given: seconds(given, "a", high=20.0), 0, 0.0),
        (lambda given: seconds(given, "a", high=20.0), 20, 20.0),
        (lambda given: seconds(given, "a", high=20.0), 0.5, 0.5),
        (lambda given: boolean(given, "a"), True, True),
        (lambda given: boolean(given, "b"), True, False),
        (lambda given: required(given, "a", "x"), "", ""),
        (lambda given: required(given, "a", "x"), False, False),
        (lambda given: named(given, "a", "x"), "", ""),
        (lambda given: named(given, "a", "x"), 5, 5),
        (lambda given: named(given, "a", "x"), " a", " a"),
    ],
)
def test_an_argument_within_its_bounds_is_taken(
    check: Callable[[dict[str, Any]], Any], value: Any, found: Any
) -> None:
    checked = check({"a": value})
    assert (checked, type(checked)) == (found, type(found))


@pytest.mark.parametrize(
    ("check", "value", "problem"),
    [
        (lambda given: integer(given, "a", low=1, high=9_000, default=5), 0, "0 is out of range; allowed: an integer from 1 to 9,000"),
        (lambda given: integer(given, "a", low=1, high=9_000, default=5), 9_001, "9,001 is out of range; allowed: an integer from 1 to 9,000"),
        (lambda given: integer(given, "a", low=1, high=9, default=5), True, "is bool; allowed: an integer from 1 to 9"),
        (lambda given: integer(given, "a", low=1, high=9, default=5), "5", "is str; allowed: an integer from 1 to 9"),
        (lambda given: integer(given, "a", low=1, high=9, default=5), 1.5, "is float; allowed: an integer from 1 to 9"),
        (lambda given: integer(given, "a", low=1, high=9, default=5), BIG - 1, f"{BIG - 1:,} is out of range; allowed: an integer from 1 to 9"),
        (lambda given: integer(given, "a", low=1, high=9, default=5), BIG, "is out of range; allowed: an integer from 1 to 9"),
        (lambda given: integer(given, "a", low=1, high=9, default=5), -BIG, "is out of range; allowed: an integer from 1 to 9"),
        (lambda given: integer(given, "a", low=1, high=9, default=5), 10**400, "is out of range; allowed: an integer from 1 to 9"),
        (lambda given: seconds(given, "a", high=20.0), 20.5, "20.5 is out of range; allowed: a number from 0 to 20"),
        (lambda given: seconds(given, "a", high=20.0), -0.5, "-0.5 is out of range; allowed: a number from 0 to 20"),
        (lambda given: seconds(given, "a", high=20.0), float("nan"), "nan is out of range; allowed: a number from 0 to 20"),
        (lambda given: seconds(given, "a", high=20.0), float("inf"), "inf is out of range; allowed: a number from 0 to 20"),
        (lambda given: seconds(given, "a", high=20.0), 10**400, f"1{'0' * 39} is out of range; allowed: a number from 0 to 20"),
        (lambda given: seconds(given, "a", high=20.0), False, "is bool; allowed: a number from 0 to 20"),
        (lambda given: seconds(given, "a", high=20.0), "5", "is str; allowed: a number from 0 to 20"),
        (lambda given: boolean(given, "a"), 1, "is int; allowed: true or false"),
        (lambda given: boolean(given, "a"), None, "is NoneType; allowed: true or false"),
        (lambda given: required(given, "a", "x"), None, "missing; allowed: x"),
        (lambda given: named(given, "a", "x"), " \n", "is blank; allowed: x"),
    ],
)  # fmt: skip
def test_an_argument_out_of_its_bounds_is_refused_with_what_is_allowed(
    check: Callable[[dict[str, Any]], Any], value: Any, problem: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        check({"a": value})
    assert (refused.value.field, str(refused.value)) == ("a", f"a: {problem}")
