"""`cdesk context`: what get_context would answer, for a person."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from command_line import runner

from bench.turn_path import fixtures
from cdesk.core.clock import format_ts
from cdesk.core.home import StateDirectory
from cdesk.state.snapshot import SnapshotWriter
from cdesk_app.cli.context import told
from mcp_shim.context import DEFAULT_CONTEXT_BYTES


def insight(name: str, **more: Any) -> dict[str, Any]:
    return {
        "subject": name,
        "metric": "m",
        "value": 1_200,
        "provenance_query_hash": "0" * 16,
        **more,
    }


def answer(**changes: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {
        "insights": [],
        "unverified": [],
        "counts": {},
        "recent_questions": [],
        "definitions": {},
    }
    return {
        "customer": "ada",
        "as_of": None,
        "version": None,
        "stale": False,
        "stale_reason": None,
        "context": {**empty, **changes.pop("context", {})},
        "pending": [],
        "omitted": [],
        **changes,
    }


def lines(*sections: str) -> list[list[str]]:
    """The words of each line of the tables."""
    return [line.split() for section in sections for line in section.splitlines()]


def test_of_nothing_its_head_is_told() -> None:
    assert lines(told(answer())) == [
        ["customer", "ada"],
        ["as", "of", "never", "built"],
        ["version", "–"],
        ["stale", "no"],
    ]
    at = "2000-01-01T00:00:00.000000Z"
    head = told(answer(as_of=at, version="v1", stale=True, stale_reason="noon")).splitlines()
    assert head[1].startswith(f"as of     {at} (")
    assert head[1].endswith(" d ago)")
    assert head[2:] == ["version   v1", "stale     noon"]


def test_what_is_remembered_says_how_far_it_can_be_trusted() -> None:
    context = {
        "insights": [insight("a")],
        "unverified": [insight("b", reason="no provenance")],
    }
    found = told(answer(context=context, pending=[insight("c")])).split("\n\n")
    assert found[1].splitlines()[0] == "insights"
    assert lines(found[1])[1] == ["subject", "metric", "value", "state", "query_hash"]
    assert lines(found[1])[3:] == [
        ["a", "m", "1,200", "verified", "0" * 16],
        ["b", "m", "1,200", "unverified:", "no", "provenance", "0" * 16],
        ["c", "m", "1,200", "pending", "0" * 16],
    ]


def test_activities_stand_by_how_often_and_questions_as_they_came() -> None:
    counts = {"b": {"d1": 1, "d7": 2, "d30": 3}, "a": {"d30": 3}, "c": {"d30": 9}, "d": {}}
    asked = [{"ts": "2026-01-31", "question": "why?"}, {"ts": "2026-01-30", "question": "how?"}]
    found = told(answer(context={"counts": counts, "recent_questions": asked})).split("\n\n")
    assert lines(found[1])[1] == ["activity", "today", "7", "days", "30", "days"]
    assert lines(found[1])[3:] == [
        ["c", "–", "–", "9"],
        ["a", "–", "–", "3"],
        ["b", "1", "2", "3"],
        ["d", "–", "–", "–"],
    ]
    assert lines(found[2])[0] == ["recent", "questions"]
    assert lines(found[2])[3:] == [["2026-01-31", "why?"], ["2026-01-30", "how?"]]
    assert all(line.startswith("  ") for line in found[2].splitlines()[1:])


def test_a_long_section_shows_its_first_rows_and_what_was_left_out_is_named() -> None:
    many = answer(
        context={"insights": [insight(f"s{n}") for n in range(1_100)]}, omitted=["x", "y"]
    )
    found = told(many).split("\n\n")
    assert found[1].splitlines()[0] == "insights (the first 10 of 1,100)"
    assert [line[0] for line in lines(found[1])[3:]] == [f"s{n}" for n in range(10)]
    assert found[2] == "left out for size: x, y"
    ten = answer(context={"insights": [insight(f"s{n}") for n in range(10)]})
    assert told(ten).split("\n\n")[1].splitlines()[0] == "insights"
    assert told(ten, rows=9).split("\n\n")[1].startswith("insights (the first 9 of 10)")


@pytest.fixture
def cdesk(state_home: StateDirectory, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    SnapshotWriter(state_home.context_db).apply(
        fixtures.customers(2), refreshed_at=format_ts(time.time_ns())
    )

    return runner(capsys, "context")


def test_the_answer_is_that_of_a_client_and_no_larger_than_asked(cdesk: Callable[..., Any]) -> None:
    whole = json.loads(cdesk("--json"))
    assert whole["customer"] == "ada@example.com"
    assert "insights" in cdesk()
    usual = json.loads(cdesk("--json", "--max-bytes", str(DEFAULT_CONTEXT_BYTES)))
    assert usual == whole
    small = json.loads(cdesk("--json", "--max-bytes", "2048"))
    assert len(json.dumps(small)) < len(json.dumps(whole))
    assert small["omitted"]
    assert json.loads(cdesk("--json", "--max-bytes", "262144"))["customer"] == "ada@example.com"
    for wrong in ("2047", "262145", "²048", "2e4"):
        assert "is not a number from 2,048 to 262,144" in cdesk("--max-bytes", wrong, code=2)
    assert "999,999,999 is not a number" in cdesk("--max-bytes", "999999999", code=2)
    assert "'9999999999' is not a number" in cdesk("--max-bytes", "9999999999", code=2)


def test_anothers_is_for_an_analyst(
    cdesk: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "customer-0000000@example.com"
    assert json.loads(cdesk(other, "--json"))["customer"] == other
    monkeypatch.setenv("CDESK_TARGET", "snowflake")
    assert json.loads(cdesk("ada@example.com", "--json"))["customer"] == "ada@example.com"
    assert f"the context of {other}" in cdesk(other, code=1)
