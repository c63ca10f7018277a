"""What a card tells of its result beside the rows."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import orjson
import pytest

from cdesk.artifacts.local import LocalArtifacts
from cdesk.artifacts.records import Artifact
from cdesk.core.clock import parse_ts
from cdesk.core.config import Settings
from cdesk.core.errors import NotFound, StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.core.identity import customer_key
from cdesk.state.database import open_state
from cdesk_app.render import card as render_card
from cdesk_app.render.card import Card, Cards, Gone, _understood
from cdesk_app.render.links import Grant
from cdesk_app.render.table import Column, Table
from tests.integration.render.conftest import Site

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


# -- opened from a state directory

ADA = "ada@example.com"


class Clock:
    def __init__(self) -> None:
        self.ns = time.time_ns()

    def __call__(self) -> int:
        return self.ns


@dataclass
class Desk:
    """A state directory with results in it, and the cards of it."""

    site: Site
    clock: Clock
    cards: Cards

    def put(self, *, rows: int = 4, **given: Any) -> str:
        columns = {"name": [f"n{n}" for n in range(rows)], "calls": list(range(rows))}
        return self.site.put(columns, {"days_back": 30}, template="numbers", **given)

    def open(self, id: str, customer: str = ADA) -> Card:
        return self.cards.open(id, Grant("card", id, customer_key(customer), ""))

    def change(self, statement: str, *values: Any) -> None:
        with closing(open_state(self.site.home.state_db)) as state:
            state.execute(statement, values)


@pytest.fixture
def desk(state_home: StateDirectory) -> Desk:
    settings = Settings(home=state_home.root, customer=ADA)
    clock = Clock()
    cards = Cards(state_home, LocalArtifacts(state_home.artifacts), UTC, now_ns=clock)
    return Desk(Site(state_home, settings), clock, cards)


def test_a_card_is_what_was_asked_answered_and_stored(desk: Desk) -> None:
    id = desk.put()
    found = desk.open(id)
    assert (found.artifact_id, found.artifact.customer, found.table.row_count) == (id, ADA, 4)
    assert (found.template, found.params) == ("numbers", {"days_back": 30})
    assert found.answer["rows"] == [[f"n{n}", n] for n in range(4)]
    assert (found.description, found.asked_at) == (None, None)
    assert found.finished_at is not None
    forgotten = desk.open(desk.put(remembered=False))
    assert (forgotten.answer, forgotten.params, forgotten.template) == ({}, {}, None)
    assert (forgotten.asked_at, forgotten.finished_at) == (None, None)


def test_a_ticket_says_more_than_the_run_that_it_was_answered_by(desk: Desk) -> None:
    id = desk.put()
    kept = desk.open(id)
    answer = {**kept.answer, "headline": "of the ticket", "artifact": {"artifact_id": id}}
    del answer["params"]
    for n, (asked, finished) in enumerate((("t2", "t9"), ("t1", "t5"))):
        desk.change(
            "insert into tickets (ticket_id, customer, is_analyst, template, params, query_hash, "
            "query_tag, status, submitted_at, finished_at, expires_at, result) "
            "values (?, ?, 0, 'numbers', ?, ?, 'q', 'succeeded', ?, ?, 'x', ?)",
            f"ticket{n}", ADA, '{"days_back": 7}', kept.artifact.query_hash, asked, finished,
            orjson.dumps(answer).decode(),
        )  # fmt: skip
    found = desk.open(id)
    assert (found.answer["headline"], found.asked_at, found.finished_at) == (
        "of the ticket", "t1", "t5",
    )  # fmt: skip
    assert found.params == {"days_back": 30}, "as the run knows them"
    desk.change("delete from query_runs")
    assert desk.open(id).params == {"days_back": 7}


def test_a_result_is_opened_until_its_time_has_come_or_while_it_is_on_hold(desk: Desk) -> None:
    id = desk.put(kept_ns=10**12)
    until = parse_ts(desk.open(id).artifact.expires_at)
    micros = (until - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    desk.clock.ns = (micros - 1) * 1_000
    assert desk.open(id).artifact_id == id
    desk.clock.ns = micros * 1_000
    with pytest.raises(Gone, match="it was kept until"):
        desk.open(id)
    desk.change("update artifacts set legal_hold = 1")
    assert desk.open(id).artifact_id == id


def test_what_is_anothers_or_unknown_or_removed_is_not_there(desk: Desk) -> None:
    id = desk.put()
    for asked, customer in ((id, "bob@example.com"), (id[:-1] + "x", ADA)):
        with pytest.raises(NotFound, match="there is no such result"):
            desk.open(asked, customer)
    desk.site.file(id).unlink()
    with pytest.raises(Gone, match="its file was removed"):
        desk.open(id)


def test_charts_are_made_once_and_the_latest_are_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_card, "KEPT", 2)
    opened = [desk.open(desk.put()) for _ in range(3)]
    assert desk.cards.known_chart(opened[0]) is None
    made = [desk.cards.chart(one) for one in opened]
    assert [desk.cards.known_chart(one) for one in opened] == [None, made[1], made[2]]
    assert desk.cards.chart(opened[2]) is made[2]
    assert made[0].headline == "n3 leads with 3 in 30 days: 50 % of 6 in calls"
    sampled = replace(opened[0], artifact=replace(opened[0].artifact, sampled=True))
    assert desk.cards.chart(sampled).headline.startswith("In a sample of 4 rows: n3 leads")


def test_a_files_table_is_kept_while_the_file_is_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render_card, "KEPT", 2)
    ids = [desk.put() for _ in range(3)]
    first, second = (desk.open(id).table for id in ids[:2])
    assert desk.open(ids[0]).table is first
    third = desk.open(ids[2]).table
    assert desk.open(ids[2]).table is third
    assert desk.open(ids[0]).table is first, "asked for later than the second"
    assert desk.open(ids[1]).table is not second
    os.utime(desk.site.file(ids[0]), (1, 1))
    assert desk.open(ids[0]).table is not first
    content = desk.site.file(ids[0]).read_bytes()
    assert desk.cards._table(content).row_count == 4


def test_the_series_behind_one_value_is_ones_own(desk: Desk) -> None:
    own, anothers = desk.put(), desk.put(customer="bob@example.com")
    found = desk.open(desk.put())

    def series(artifact_id: str) -> Table | None:
        trend = {"period": "hour", "query_hash": "h", "artifact_id": artifact_id}
        return desk.cards._series(replace(found, answer={**found.answer, "trend": trend}))

    assert desk.cards._series(found) is None
    assert series(own) is desk.open(own).table
    assert series(anothers) is None
    assert series("a1") is None


def test_a_state_file_that_is_another_is_opened_anew(desk: Desk, tmp_path: Path) -> None:
    id = desk.put()
    desk.open(id)
    with desk.cards._reading() as one, desk.cards._reading() as same:
        assert one is same
    for path in (desk.site.home.state_db, *desk.site.home.root.glob("state.db-*")):
        path.rename(tmp_path / path.name)
    with pytest.raises(NotFound):
        desk.open(id)
    with desk.cards._reading() as other:
        assert other is not one
    with pytest.raises(StateDirectoryError, match="cannot be read"), desk.cards._reading() as held:
        held.execute("select * from nothing")
    with pytest.raises(sqlite3.ProgrammingError):
        held.execute("select 1")
    with desk.cards._reading() as anew:
        assert anew.execute("select 1").fetchone() == (1,)


def test_a_card_has_the_description_of_its_template(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = desk.put()
    catalog = Mock()
    catalog.get.return_value.templates = {"numbers": Mock(description="what it says")}
    monkeypatch.setattr(desk.cards, "_catalog", catalog)
    assert desk.open(id).description == "what it says"
    assert desk.open(desk.put(remembered=False)).description is None
    catalog.get.return_value.templates = {}
    assert desk.open(id).description is None
    store = Mock()
    monkeypatch.setattr(desk.cards, "_store", store)
    found = desk.cards.download_url(Mock(**{"artifact.uri": "cdesk://a"}), "a.parquet")
    assert found is store.download_url.return_value
    store.download_url.assert_called_once_with("cdesk://a", filename="a.parquet")
