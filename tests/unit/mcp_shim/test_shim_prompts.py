"""Prompts: what they make of their arguments, and what they refuse."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from bench.turn_path import fixtures
from cdesk.contract.catalog import load_catalog
from cdesk.core.errors import InvalidField, NotFound
from cdesk.core.home import StateDirectory
from mcp_shim.prompts import PROMPTS, days_since, local_now, prompt_text, since_words
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
        assert prompt.listed() == {
            "name": name,
            "title": prompt.title,
            "description": prompt.description,
            "arguments": [one._asdict() for one in prompt.arguments],
        }
    needed = {name: [one.name for one in prompt.arguments if one.required] for name, prompt in PROMPTS.items()}  # fmt: skip
    assert {name: one for name, one in needed.items() if one} == {
        "remember": ["subject"],
        "forget": ["subject"],
    }


ASKED = "cdesk.user_asked"


def values(key: str, days: int) -> tuple[str, dict[str, Any]]:
    return "feature_values", {"activity": ASKED, "key": key, "days_back": days}


@pytest.mark.parametrize(
    ("name", "given", "calls"),
    [
        (
            "weekly_review",
            {},
            [
                ("activity_by_period", {"activity": ASKED, "period": "day", "days_back": 7}),
                ("activity_counts", {"days_back": 7}),
                ("sessions", {"days_back": 7}),
                ("recent_activities", {"hours_back": 168, "limit": 100}),
                ("insights", {}),
            ],
        ),
        (
            "what_did_i_do",
            {},
            [
                ("recent_activities", {"hours_back": 168, "limit": 1000}),
                values("question", 7),
                values("topic", 7),
            ],
        ),
        (
            "what_did_i_do",
            {"topic": "project  atlas", "since": "yesterday"},
            [
                ("recent_activities", {"hours_back": 48, "limit": 1000}),
                values("question", 2),
                values("topic", 2),
                ("insights", {"subject": "project atlas"}),
            ],
        ),
        (
            "what_did_i_do",
            {"topic": "cdesk.file_read", "since": "2026-02-28"},
            [
                ("recent_activities", {"hours_back": 48, "limit": 1000}),
                ("activity_by_period", {"activity": "cdesk.file_read", "period": "day", "days_back": 2}),
            ],
        ),
        ("remember", {"subject": "atlas"}, [("insights", {"subject": "atlas"})]),
        ("forget", {"subject": "atlas"}, [("insights", {"subject": "atlas", "limit": 1000})]),
        (
            "year_in_review",
            {"year": "2025"},
            [
                ("activity_by_period", {"activity": ASKED, "period": "month", "days_back": 425}),
                ("activity_by_period", {"activity": "cdesk.session_started", "period": "week", "days_back": 425}),
                ("activity_counts", {"days_back": 425}),
                ("llm_usage", {"period": "month", "days_back": 425}),
                values("topic", 425),
                ("insights", {}),
            ],
        ),
    ],
)  # fmt: skip
def test_the_calls_of_a_prompt_ask_for_the_days_and_the_topic_that_were_given(
    name: str, given: dict[str, str], calls: list[tuple[str, dict[str, Any]]]
) -> None:
    text = prompt_text(name, given, catalog=None, now=NOW)
    found = [json.loads(one) for one in re.findall(r"^- submit_query (.*)$", text, re.MULTILINE)]
    assert [(one["template"], one["params"]) for one in found] == calls


def test_a_review_of_this_year_goes_back_to_its_first_day() -> None:
    for given in ({}, {"year": "2026"}):
        text = prompt_text("year_in_review", given, catalog=None, now=NOW)
        assert '"days_back": 60' in text, "31 of January, 28 of February, today"
        assert "My 2026 with Claude" in text
    first = datetime(2026, 1, 1, tzinfo=UTC)
    assert '"days_back": 1' in prompt_text("year_in_review", {}, catalog=None, now=first)
    for year in ("1970", "2026"):
        assert f"My {year} with" in prompt_text(
            "year_in_review", {"year": year}, catalog=None, now=NOW
        )
    assert 'about "caf\u00e9" in' in prompt_text(
        "what_did_i_do", {"topic": "caf\u00e9"}, catalog=None, now=NOW
    )
    assert "What did I do in the last 7 days?" in prompt_text(
        "what_did_i_do", {}, catalog=None, now=NOW
    )


def test_a_day_is_that_of_the_person() -> None:
    moment = 1_772_323_200 * 10**9  # midnight in UTC, on 2026-03-01
    assert local_now(moment, "America/New_York").date() == date(2026, 2, 28)
    assert local_now(moment, "Asia/Tokyo").isoformat() == "2026-03-01T09:00:00+09:00"
    for unknown in ("Nowhere/At_All", "../etc"):
        assert local_now(moment, unknown).isoformat() == "2026-03-01T00:00:00+00:00"
    assert [days_since(word, date(2026, 3, 1)) for word in since_words(date(2026, 3, 1))] == [
        *(1, 2, 7, 31, 366),
        *(14, 30, 60),
    ]


def test_numbers_stay_within_the_bounds_of_the_template(state_home: StateDirectory) -> None:
    fixtures.catalog(state_home)
    catalog = load_catalog(state_home.catalog)
    text = prompt_text("what_did_i_do", {"since": "90 days"}, catalog=catalog, now=NOW)
    assert '"hours_back": 720' in text, "90 days are more than the template takes"
    assert "in the last 90 days" in text
    text = prompt_text("what_did_i_do", {"since": "1 day"}, catalog=catalog, now=NOW)
    assert '"hours_back": 24' in text, "and fewer stay as they are"
    (one,) = catalog.templates.values()
    unbounded = tuple(replace(parameter, max=None) for parameter in one.parameters)
    catalog = replace(catalog, templates={one.name: replace(one, parameters=unbounded)})
    text = prompt_text("what_did_i_do", {"since": "90 days"}, catalog=catalog, now=NOW)
    assert '"hours_back": 2160' in text


@pytest.mark.parametrize(
    ("since", "days"),
    [
        ("", 7),
        ("2026-02-28", 2),
        ("2026-03-01", 1),
        ("last week", 7),
        ("14 days ago", 14),
        ("3d", 3),
        ("1 day", 1),
        ("0 days", 1),
        ("9999 days", 9999),
        ("TODAY", 1),
        (" last year ", 366),
    ],
)
def test_since_is_a_day_or_a_number_of_days(since: str, days: int) -> None:
    assert days_since(since, date(2026, 3, 1)) == days


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("what_did_i_do", {"since": "2026-03-02"}, "since"),
        ("what_did_i_do", {"since": "the flood"}, "^since: 'the flood' is no day up to today; allowed: a date such as 2026-03-01, '14 days', or today, yesterday, week, month, year$"),
        ("what_did_i_do", {"since": "10000 days"}, "since"),
        ("year_in_review", {"year": "2027"}, "^year: '2027' is none; allowed: 1970 to 2026$"),
        ("year_in_review", {"year": "1969"}, "1970 to 2026"),
        ("year_in_review", {"year": "02026"}, "1970 to 2026"),
        ("remember", {}, "subject: missing"),
        ("remember", {"subject": "  "}, "subject: missing"),
        ("remember", {"subject": "x" * 201}, "at most 200"),
        ("weekly_review", {"topic": "x"}, "no arguments"),
        ("forget", {"x" * 61: "x"}, f"^{'x' * 60}: unknown for forget; allowed: subject$"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_what_can(
    name: str, arguments: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidField, match=said):
        prompt_text(name, arguments, catalog=None, now=NOW)


def test_an_argument_may_be_as_long_as_its_bound() -> None:
    assert "x" * 200 in prompt_text("forget", {"subject": "x" * 200}, catalog=None, now=NOW)


def test_an_unknown_prompt_is_told_the_known_ones() -> None:
    with pytest.raises(NotFound, match="weekly_review"):
        prompt_text("daily", {}, catalog=None, now=NOW)
