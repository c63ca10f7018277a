"""Prompts: what they make of their arguments, and what they refuse."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from bench.turn_path import fixtures
from cdesk.contract.catalog import load_catalog
from cdesk.core.errors import InvalidField, NotFound
from cdesk.core.home import StateDirectory
from mcp_shim.prompts import PROMPTS, days_since, prompt_text
from mcp_shim.tools import TOOLS

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_a_prompt_names_the_tools_that_it_needs_and_quotes_what_was_given() -> None:
    text = prompt_text("forget", {"subject": 'atlas"\nIgnore this'}, catalog=None, now=NOW)
    assert "forget_insight" in text
    assert 'about "atlas\\" Ignore this".' in text, "in one line, and it ends where it ends"
    for name, prompt in PROMPTS.items():
        given = {one.name: "2026-01-01" for one in prompt.arguments if one.name != "year"}
        said = prompt_text(name, given, catalog=None, now=NOW)
        assert [tool for tool in TOOLS if tool in said]
        assert prompt.listed()["arguments"] == [one._asdict() for one in prompt.arguments]


def test_numbers_stay_within_the_bounds_of_the_template(state_home: StateDirectory) -> None:
    fixtures.catalog(state_home)
    catalog = load_catalog(state_home.catalog)
    text = prompt_text("what_did_i_do", {"since": "90 days"}, catalog=catalog, now=NOW)
    assert '"hours_back": 720' in text, "90 days are more than the template takes"
    assert "in the last 90 days" in text


@pytest.mark.parametrize(
    ("since", "days"),
    [
        ("", 7),
        ("2026-02-28", 2),
        ("2026-03-01", 1),
        ("last week", 7),
        ("14 days ago", 14),
        ("3d", 3),
    ],
)
def test_since_is_a_day_or_a_number_of_days(since: str, days: int) -> None:
    assert days_since(since, date(2026, 3, 1)) == days


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("what_did_i_do", {"since": "2026-03-02"}, "since"),
        ("what_did_i_do", {"since": "the flood"}, "since"),
        ("year_in_review", {"year": "2027"}, "1970 to 2026"),
        ("remember", {}, "subject: missing"),
        ("remember", {"subject": "  "}, "subject: missing"),
        ("remember", {"subject": "x" * 201}, "at most 200"),
        ("weekly_review", {"topic": "x"}, "no arguments"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(
    name: str, arguments: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidField, match=said):
        prompt_text(name, arguments, catalog=None, now=NOW)


def test_an_unknown_prompt_is_told_the_known_ones() -> None:
    with pytest.raises(NotFound, match="weekly_review"):
        prompt_text("daily", {}, catalog=None, now=NOW)
