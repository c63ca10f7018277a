"""`cdesk templates`: the catalog for a person, in a list and one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from command_line import runner

from bench.turn_path import fixtures
from cdesk.core.home import StateDirectory
from cdesk.state.catalog import write_catalog
from cdesk.state.database import open_state
from cdesk_app.cli.main import main
from cdesk_app.cli.templates import _first_sentence

PLAIN = {
    "description": "How many there are.\n  In all.  And more.",
    "scope": "org",
    "parameters": [],
    "sql": "\nselect 1 as n\n",
    "binds": [],
    "example": {},
    "hash": "1" * 16,
}
FULL = {
    "description": "The latest\nactivities",
    "scope": "customer",
    "parameters": [
        {
            "name": "hours_back",
            "type": "integer",
            "required": False,
            "default": 24,
            "min": 1,
            "max": 720,
        },
        {"name": "topic", "type": "string", "required": True, "description": "what of"},
    ],
    "sql": "select ? as who, ? as topic",
    "binds": ["customer", "topic"],
    "example": {"topic": "two words", "hours_back": 5},
    "hash": "2" * 16,
    "evidence_columns": {"n": "system", "total": "reported"},
}


@pytest.fixture
def cdesk(state_home: StateDirectory, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    document: dict[str, Any] = {
        "v": 1,
        "dialect": "duckdb",
        "content_hash": "0" * 16,
        "generated_at": "2026-01-31T12:00:00.000000Z",
        "templates": {name: {"name": name, **one} for name, one in (("b", FULL), ("a", PLAIN))},
    }
    with closing(open_state(state_home.state_db)) as state:
        write_catalog(state_home, state, document, now="2026-01-31T12:00:00.000000Z")

    return runner(capsys, "templates")


def test_they_are_listed_by_name_with_what_each_answers(cdesk: Callable[..., str]) -> None:
    lines = cdesk().splitlines()
    assert [line.split(None, 2) for line in lines[:4] if "---" not in line] == [
        ["template", "scope", "answers"],
        ["a", "org", "How many there are"],
        ["b", "customer", "The latest activities"],
    ]
    assert lines[4:] == [
        "",
        "'cdesk templates NAME' explains one; 'cdesk query NAME -p KEY=VALUE' runs it.",
    ]
    found = json.loads(cdesk("--json"))
    assert [one["name"] for one in found] == ["a", "b"]
    assert [one for one in found if {"sql", "binds"} & one.keys()] == []
    assert found[0]["scope"] == "org"


def test_one_is_explained_whole(cdesk: Callable[..., str]) -> None:
    lines = cdesk("b").splitlines()
    assert lines[:3] == ["b (customer scope)", "", "The latest activities"]
    assert lines[4].split() == ["parameter", "needed", "default", "allowed", "meaning"]
    assert lines[6].split()[:3] == ["hours_back", "no", "24"]
    assert "integer from 1 to 720" in lines[6]
    assert lines[7].split()[:3] == ["topic", "yes", "–"]
    assert lines[7].endswith("what of")
    assert lines[8:] == [
        "",
        "An insight is verified by a value of n (system), total (reported).",
        "",
        "example:",
        "  cdesk query b -p 'topic=two words' -p hours_back=5",
        "",
        f"SQL (hash {'2' * 16}; each ? is bound, in this order: customer, topic):",
        "",
        "select ? as who, ? as topic",
    ]
    document = json.loads(cdesk("b", "--json"))
    assert (document["sql"], document["binds"]) == (FULL["sql"], FULL["binds"])


def test_one_without_parameters_or_evidence_says_so(cdesk: Callable[..., str]) -> None:
    assert cdesk("a").splitlines() == [
        *("a (org scope)", "", "How many there are. In all. And more.", ""),
        *("It takes no parameters.", "", "No value of its answer verifies an insight.", ""),
        *("example:", "  cdesk query a", ""),
        f"SQL (hash {'1' * 16}; each ? is bound, in this order: none):",
        *("", "select 1 as n"),
    ]


def test_a_name_that_is_none_is_a_wrong_call(cdesk: Callable[..., str]) -> None:
    assert "TEMPLATE: " in cdesk("c", code=2)
    assert "allowed: the names that 'cdesk templates' lists" in cdesk("c", code=2)


def test_without_a_catalog_it_says_what_makes_one(
    state_home: StateDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["templates"]) == 1
    assert "the query catalog is not there yet" in capsys.readouterr().err
    fixtures.catalog(state_home)
    assert main(["templates"]) == 0


def test_the_first_sentence_ends_where_another_begins() -> None:
    assert _first_sentence("One of v1.0\n there. Two. Three.") == "One of v1.0 there"
    assert _first_sentence("One alone.") == "One alone."
