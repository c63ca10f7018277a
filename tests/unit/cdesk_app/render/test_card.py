"""What a card tells of its result beside the rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any
from unittest.mock import Mock

from cdesk.artifacts.records import Artifact
from cdesk_app.render.card import Card, _understood
from cdesk_app.render.table import Column

ARTIFACT = Artifact(
    artifact_id="a1",
    customer="ada",
    uri="cdesk://a1",
    format="parquet",
    query_hash="h1",
    rows=1_200,
    bytes=1,
    sampled=False,
    created_at="2026-01-31T12:00:00.000000Z",
    expires_at="2026-04-30T12:00:00.000000Z",
)
CARD = Card(
    artifact=ARTIFACT,
    table=Mock(columns=[Column(0, "n", "integer"), Column(1, "text", "string")]),
    answer={},
    params={},
    template=None,
    description=None,
    asked_at=None,
    finished_at=None,
)


def card(answer: dict[str, Any] | None = None, **changes: Any) -> Card:
    return replace(CARD, answer=answer or {}, **changes)


def test_a_sample_says_that_it_is_one() -> None:
    assert card().sampling_note() is None
    sampled = replace(ARTIFACT, sampled=True)
    assert card(artifact=sampled).sampling_note() == "A sample of 1,200 rows"
    note = {"sampling_note": "10 of 1,200 rows"}
    for one in (card(note), card(note, artifact=sampled)):
        assert one.sampling_note() == "10 of 1,200 rows"
    assert card({"sampling_note": "every tenth"}).sampling_note() == "Every tenth"


def test_the_question_is_told_by_its_parameters() -> None:
    given = {"days_back": 30, "activity": None, "names": ["a", 2], "text": "x" * 201}
    asked = dict(card(params=given).asked())
    assert list(asked) == ["days back", "names", "text"]
    assert (asked["days back"], asked["names"]) == ("30", "a, 2")
    assert asked["text"].startswith("x" * 200 + "…")


def test_where_figures_come_from() -> None:
    least = dict(card().provenance(UTC))
    assert least == {
        "query_hash": "h1",
        "asked by": "ada",
        "stored": "2026-01-31 12:00",
        "kept until": "2026-04-30 12:00",
        "rows": "1,200",
        "artifact": "a1",
    }
    answer = {
        "query_tag": "cdesk_1",
        "as_of": "2026-01-31T11:00:00Z",
        "row_count": 5_000,
        "trend": {"period": "hour", "query_hash": "h2", "artifact_id": "a2"},
        "columns": [{"basis": "system"}, {"basis": "reported"}, {"basis": "system"}, {}],
    }
    held = card(answer, template="t", artifact=replace(ARTIFACT, legal_hold=True))
    assert dict(held.provenance(UTC)) == {
        **least,
        "template": "t",
        "query_tag": "cdesk_1",
        "as of": "2026-01-31 11:00",
        "kept until": "on hold",
        "rows": "5,000",
        "trend": "by hour, h2",
        "basis": "reported and system",
    }


def test_the_first_rows_are_shown_where_they_are_of_these_columns() -> None:
    rows = {"rows": [[5_000, "a\nb"], [None, None]]}
    assert card(rows).preview(UTC) == [["5,000", "a↵b"], [None, None]]
    assert card({"rows": [[1, "a"], [1]]}).preview(UTC) == []
    assert card({"rows": None}).preview(UTC) == card().preview(UTC) == []


def test_of_an_answer_counts_what_is_of_its_kind() -> None:
    whole = {
        "template": "t",
        "row_count": 3,
        "columns": [{"name": "n"}],
        "rows": [[1]],
        "trend": {"period": "day", "query_hash": "h", "artifact_id": "a"},
        "params": {"a": 1},
    }
    assert _understood({**whole, "more": 1, "headline": None}) == whole
    for name, value in (
        ("template", 7),
        ("row_count", True),
        ("columns", [["n"]]),
        ("rows", [{"n": 1}]),
        ("trend", {"period": "day", "query_hash": "h"}),
        ("trend", {"period": "day", "query_hash": "h", "artifact_id": 1}),
        ("params", [1]),
    ):
        assert _understood({**whole, name: value}) == {
            known: kept for known, kept in whole.items() if known != name
        }
    assert _understood({"trend": {}, "rows": []}) == {"trend": {}, "rows": []}
