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

from cdesk.core.clock import format_ts, to_ns
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.facts import write_status
from cdesk.state.status import BudgetWord
from mcp_shim.context import (
    MIN_CONTEXT_BYTES,
    PRIORITY,
    SECTIONS,
    WRITTEN_NOTE,
    CustomerContext,
    empty_context,
    read_sections,
    trim,
)
from mcp_shim.readers import Readers

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
