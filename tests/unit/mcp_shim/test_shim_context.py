"""Trimming: never too long, always whole JSON, always said what is missing."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.turn_path import fixtures
from cdesk.core.clock import format_ts, to_ns
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.facts import write_status
from cdesk.state.snapshot import SnapshotWriter
from cdesk.state.status import BudgetWord, LastLanding, Pressure
from mcp_shim.context import (
    MAX_PENDING,
    MIN_CONTEXT_BYTES,
    PRIORITY,
    SECTIONS,
    WRITTEN_NOTE,
    CustomerContext,
    empty_context,
    hide,
    read_sections,
    trim,
)
from mcp_shim.readers import Readers
from tests.unit.mcp_shim.desk import ADA, NOW_NS, at

ENTRIES = st.lists(
    st.fixed_dictionaries(
        {"subject": st.text(max_size=80), "value": st.integers(-(2**63), 2**63 - 1)}
    ),
    max_size=12,
)
MAPPING = st.dictionaries(st.text(max_size=30), st.text(max_size=200), max_size=12)
CONTEXTS = st.fixed_dictionaries(
    {name: ENTRIES if kind is list else MAPPING for name, kind in SECTIONS.items()}
)
HEADS = st.fixed_dictionaries(
    {
        "customer": st.text(min_size=1, max_size=255).filter(lambda text: text.isprintable()),
        "stale_reason": st.none() | st.text(max_size=40),
    }
)


@settings(max_examples=60)
@given(HEADS, CONTEXTS, ENTRIES, st.integers(MIN_CONTEXT_BYTES, 6_000))
def test_an_answer_keeps_its_bound_and_names_what_it_leaves_out(
    head: dict[str, Any], context: dict[str, Any], pending: list[Any], max_bytes: int
) -> None:
    answer, text = trim(head, context, pending, max_bytes=max_bytes)
    assert orjson.loads(text) == answer
    assert len(text) <= max_bytes
    assert {name: answer[name] for name in head} == head
    assert set(answer["context"]) == set(SECTIONS)
    whole = {**context, "pending": pending}
    kept = {**answer["context"], "pending": answer["pending"]}
    left_out = {name.partition(":")[0] for name in answer["omitted"]}
    assert {name for name in PRIORITY if kept[name] != whole[name]} == left_out
    for name in left_out:
        section = kept[name]
        if name in ("insights", "pending"):
            assert section == whole[name][: len(section)]
            assert f"{name}:{len(section)} of {len(whole[name])}" in answer["omitted"]
        else:
            assert not section


def test_what_fits_is_whole() -> None:
    context = empty_context() | {"insights": [{"subject": "a"}]}
    answer, _ = trim({"customer": "ada"}, context, [{"subject": "b"}], max_bytes=4_096)
    assert answer == {
        "customer": "ada",
        "context": context,
        "pending": [{"subject": "b"}],
        "omitted": [],
    }


def test_sections_stay_to_the_last_byte_that_there_is_room_for() -> None:
    """Of insights and pending as many as fit, in the order of PRIORITY."""
    item = {"subject": "x" * 90}
    context = empty_context() | {"insights": [item] * 3, "counts": {"a": "y" * 200}}
    head = {"customer": "ada"}
    whole, text = trim(head, context, [item] * 2, max_bytes=4_096)
    assert trim(head, context, [item] * 2, max_bytes=len(text)) == (whole, text)
    skeleton = {
        **head,
        "context": empty_context(),
        "pending": [],
        "omitted": [f"{name}:{n} of {n}" for name, n in zip(PRIORITY, (3, 2, 0, 0, 1, 0), strict=True)],
    }  # fmt: skip
    base, one = len(orjson.dumps(skeleton)), len(orjson.dumps(item)) + 1
    for room, insights, pending in (
        (one - 1, 0, 0),
        (one, 1, 0),
        (2 * one, 2, 0),
        (3 * one - 2, 2, 0),
        (3 * one - 1, 3, 0),  # the last one has no comma
        (4 * one - 2, 3, 0),
        (4 * one - 1, 3, 1),
        (5 * one - 3, 3, 1),
        (5 * one - 2, 3, 2),
    ):
        kept, _ = trim(head, context, [item] * 2, max_bytes=base + room)
        assert (len(kept["context"]["insights"]), len(kept["pending"])) == (insights, pending)
        missing = [f"insights:{insights} of 3"] * (insights < 3)
        missing += [f"pending:{pending} of 2"] * (pending < 2)
        assert kept["omitted"] == [*missing, "counts"]


def test_with_a_forgotten_fact_go_the_older_guesses_on_what_it_was_about() -> None:
    def item(id: str, ts: str, **more: str) -> dict[str, str]:
        return {"subject": "s", "metric": "m", "insight_id": id, "ts": ts, **more}

    sections = {
        "insights": [item("fact", "2026-01-02"), item("kept", "2026-01-01", subject="t")],
        "unverified": [
            item("older", "2026-01-01"),
            item("as old", "2026-01-02"),
            item("newer", "2026-01-03"),
            item("other", "2026-01-01", metric="n"),
            item("hidden", "2026-01-05", metric="n"),
        ],
    }
    hide(sections, frozenset(("fact", "hidden", "unknown")))
    assert [one["insight_id"] for one in sections["insights"]] == ["kept"]
    assert [one["insight_id"] for one in sections["unverified"]] == ["newer", "other"]


def test_a_foreign_blob_is_read_as_far_as_it_goes() -> None:
    blob = orjson.dumps({"customer": "ada", "insights": [1], "counts": "no mapping", "more": True})
    assert read_sections(blob) == empty_context() | {"insights": [1]}
    with pytest.raises(ValueError, match="object"):
        read_sections(b"[]")


def test_an_insight_remembered_here_alone_is_forgotten_once_the_snapshot_shows_it(
    state_home: StateDirectory,
) -> None:
    context = CustomerContext(Readers.of(state_home), "ada")
    own = {"subject": "s", "metric": "m", "ts": "2026-02-01T00:00:00.000000Z", "insight_id": "b"}
    later = {**own, "metric": "n"}
    for shown, left in (
        ([], ["b", "b"]),
        ([{**own, "insight_id": "a"}], ["b", "b"]),
        ([own], ["b"]),
        ([{**own, "ts": "2026-02-02T00:00:00.000000Z", "insight_id": "c"}], ["b"]),
    ):
        context.unsaved = [own, later]
        context._forget_arrived({"insights": [], "unverified": shown})
        assert [item["insight_id"] for item in context.unsaved] == left


def test_reading_a_context_leaves_no_trace_in_the_queue(state_home: StateDirectory) -> None:
    """`cdesk context` reads without a queue writer."""
    with closing(Readers.of(state_home)) as readers:
        answer, text = CustomerContext(readers, "ada").answer()
    assert answer["stale"]
    assert orjson.loads(text) == answer
    assert list(state_home.queue.iterdir()) == []


def test_pending_insights_are_read_again_only_when_state_db_was_written(
    state_home: StateDirectory,
) -> None:
    """By another process, or over the reader's own connection."""
    insert = (
        "insert into pending_insights (id, customer, ts, subject, metric, value) "
        "values (?, 'ada@example.com', '2026-01-01T00:00:00.000000Z', 's', 'm', '1')"
    )
    with (
        closing(Readers.of(state_home)) as readers,
        closing(open_state(state_home.state_db)) as other,
    ):
        context = CustomerContext(readers, "ada@example.com")

        def pending() -> list[str]:
            return [item["insight_id"] for item in context.answer()[0]["pending"]]

        asked: list[str] = []
        own = readers.state.connection()
        own.set_trace_callback(asked.append)
        assert pending() == pending() == []
        assert sum("from pending_insights" in text for text in asked) == 1
        other.execute(insert, ("a",))
        assert pending() == ["a"]
        own.execute(insert, ("b",))
        assert pending() == ["b", "a"]
        other.execute("delete from pending_insights where id = 'a'")
        assert pending() == ["b"]


def test_a_word_on_the_budget_counts_for_its_customer_until_its_day_ends(
    state_home: StateDirectory,
) -> None:
    now = to_ns(datetime(2026, 3, 1, 22, 59, tzinfo=UTC))
    until = format_ts(now + 60 * 10**9)
    word = BudgetWord(customer="ada", text="82 % is used.", until=until)
    with closing(open_state(state_home.state_db)) as state:
        write_status(state, word, now="2026-03-01T12:00:00Z")
    readers = replace(Readers.of(state_home, lambda: None), now_ns=lambda: now)
    with closing(readers):
        ada, bob = (CustomerContext(readers, name) for name in ("ada", "bob"))
        assert ada.answer()[0]["note"].startswith("82 % is used. Names, values")
        assert bob.answer()[0]["note"] == WRITTEN_NOTE
    readers = replace(Readers.of(state_home, lambda: None), now_ns=lambda: now + 60 * 10**9)
    with closing(readers):
        assert CustomerContext(readers, "ada").answer()[0]["note"] == WRITTEN_NOTE


class Shown:
    """A customer's context over a snapshot refreshed at `as_of`, with a clock in hand."""

    def __init__(self, home: StateDirectory, *, blob: bytes = b"{}", as_of: str = at(0)) -> None:
        SnapshotWriter(home.context_db).apply(
            [fixtures.row(ADA.customer, blob)], refreshed_at=as_of
        )
        self.seconds = 0.0
        self.missing: str | None = None
        self.readers = replace(
            Readers.of(home, lambda: self.missing),
            now_ns=lambda: NOW_NS + int(self.seconds * 1e9),
        )
        self.state = self.readers.state.connection()
        self.context = CustomerContext(self.readers, ADA.customer)

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: object) -> None:
        self.readers.close()

    def answer(self, **options: Any) -> dict[str, Any]:
        return self.context.answer(**options)[0]

    def remember(self, id: str, ts: str, *, customer: str = ADA.customer) -> None:
        self.state.execute(
            "insert into pending_insights (id, customer, ts, subject, metric, value) "
            "values (?, ?, ?, 's', ?, '1')",
            (id, customer, ts, id),
        )


LATE = "what landed 15 minutes ago is not in it yet; see 'cdesk status'"
LATE_INSIGHT = "an insight 15 minutes ago is not in it yet; see 'cdesk status'"


@pytest.mark.parametrize(
    ("landed", "pending", "now", "reason"),
    [
        (1, (), 901, None),
        (1, (), 901.5, LATE),
        (0, (), 5_000, None),
        (-10, (), 5_000, None),
        (None, (-5,), 895, None),
        (None, (-5,), 896, LATE_INSIGHT),
        (None, (800, -5, 700), 896, LATE_INSIGHT),
        (None, (5,), 905, None),
        (1, (-5,), 902, LATE),
        (0, (-5,), 896, LATE_INSIGHT),
    ],
)
def test_a_snapshot_is_stale_once_something_is_missing_in_it_for_a_quarter_of_an_hour(
    state_home: StateDirectory,
    landed: float | None,
    pending: tuple[float, ...],
    now: float,
    reason: str | None,
) -> None:
    with Shown(state_home) as shown:
        if landed is not None:
            write_status(shown.state, LastLanding(at=at(landed)), now=at(0))
        for number, seconds in enumerate(pending):
            shown.remember(str(number), at(seconds))
        shown.seconds = now
        answer = shown.answer()
        assert (answer["stale"], answer["stale_reason"]) == (reason is not None, reason)
        assert (answer["as_of"], answer["customer"]) == (at(0), ADA.customer)
        shown.missing = "no worker is installed"
        told = None if reason is None else f"{reason}; no worker is installed"
        assert shown.answer()["stale_reason"] == told, "only where it explains something"


def test_pressure_is_told_in_the_words_of_who_feels_it(state_home: StateDirectory) -> None:
    with Shown(state_home) as shown:
        write_status(shown.state, Pressure(step=2, reason="the disk is nearly full"), now=at(0))
        assert shown.answer()["stale_reason"] == (
            "under pressure, the disk is nearly full; see 'cdesk status'"
        )
        for value in ('{"step": 0, "reason": "x"}', "[]", "null"):
            shown.state.execute("update worker_status set value = ?", (value,))
            assert shown.answer()["stale_reason"] is None
        write_status(shown.state, Pressure(step=1, reason="x" * 700), now=at(0))
        assert len(shown.answer()["stale_reason"]) == 600


def test_what_cannot_be_read_is_told_and_the_rest_answered(state_home: StateDirectory) -> None:
    with Shown(state_home, blob=b"no JSON") as shown:
        shown.remember("a", at(0))
        answer = shown.answer()
        assert answer["stale_reason"] == (
            "the snapshot holds a context that is no JSON; the worker rebuilds it"
        )
        assert answer["context"] == empty_context()
        assert [one["insight_id"] for one in answer["pending"]] == ["a"]
        shown.readers.state.close()
        for path in state_home.root.glob("state.db*"):
            path.unlink()
        state_home.state_db.mkdir()
        answer = shown.answer()
        assert answer["stale_reason"].startswith("insights on their way cannot be read; the snap")
        assert answer["pending"] == []


def test_pending_insights_come_newest_first_with_those_that_stand_here_alone(
    state_home: StateDirectory,
) -> None:
    with Shown(state_home) as shown:
        for id, seconds in (("b", 2.0), ("a", 2.0), ("c", 4.0)):
            shown.remember(id, at(seconds))
        shown.remember("bob's", at(1), customer="bob")
        own = {"subject": "s", "metric": "m", "value": 1, "provenance_query_hash": None}
        shown.context.unsaved = [
            {**own, "ts": at(3), "insight_id": "x"},
            {**own, "ts": at(2), "insight_id": "aa"},
            {**own, "ts": at(9), "insight_id": "c"},  # which state.db took after all
        ]
        pending = shown.answer()["pending"]
        assert [one["insight_id"] for one in pending] == ["c", "x", "b", "aa", "a"]
        assert pending[0] == {
            "subject": "s",
            "metric": "c",
            "value": 1,
            "ts": at(4),
            "provenance_query_hash": None,
            "insight_id": "c",
        }
        shown.context.forget_unsaved("x")
        assert [one["insight_id"] for one in shown.answer()["pending"]] == ["c", "b", "aa", "a"]
        shown.context.unsaved = []
        for number in range(MAX_PENDING):
            shown.remember(f"{number:03}", at(10))
        pending = shown.answer(max_bytes=10**6)["pending"]
        assert [one["insight_id"] for one in (pending[0], pending[-1])] == ["199", "000"]
        assert len(pending) == MAX_PENDING


def test_an_answer_is_made_anew_where_something_has_changed_and_only_there(
    state_home: StateDirectory,
) -> None:
    insight = {"subject": "s", "metric": "m", "value": 1, "ts": at(-5), "insight_id": "i"}
    blob = orjson.dumps({"insights": [insight]})
    with Shown(state_home, blob=blob) as shown:
        first = shown.context.answer()
        assert shown.context.answer() is first
        assert shown.context.answer(max_bytes=4_096) == first
        assert first[0]["context"]["insights"] == [insight]
        shown.state.execute(
            "insert into forgotten_insights (customer, insight_id, ts) values ('bob', 'i', '')"
        )
        assert shown.context.answer() == first, "another's forgetting hides nothing"
        shown.state.execute("update forgotten_insights set customer = ?", (ADA.customer,))
        assert shown.answer()["context"]["insights"] == []
        shown.context.unsaved = [
            {**insight, "ts": at(-6), "insight_id": "old"},
            {**insight, "ts": at(-4), "insight_id": "new"},
        ]
        shown.state.execute("delete from forgotten_insights")
        assert [one["insight_id"] for one in shown.answer()["pending"]] == ["new"]


@pytest.mark.parametrize(
    "word",
    [
        ["no object"],
        {"customer": ADA.customer, "text": 5, "until": at(9)},
        {"customer": ADA.customer, "text": "x", "until": None},
        {"customer": ADA.customer, "text": "x", "until": at(0)},
        {"customer": "bob", "text": "x", "until": at(9)},
    ],
)
def test_a_word_on_the_budget_that_is_none_is_passed_over(
    state_home: StateDirectory, word: object
) -> None:
    with Shown(state_home) as shown:
        shown.state.execute(
            "insert into worker_status values ('budget_word', ?, '')", (orjson.dumps(word),)
        )
        assert shown.answer()["note"] == WRITTEN_NOTE
        told = BudgetWord(customer=ADA.customer, text="y" * 301, until=at(0.000001))
        write_status(shown.state, told, now=at(0))
        assert shown.answer()["note"] == f"{'y' * 300} {WRITTEN_NOTE}"
