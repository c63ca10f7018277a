"""An insight is pending until the snapshot holds it, and not longer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from contexts import row, stamp

from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from cdesk.state.pending import clear_insights, pending_insights
from cdesk.state.snapshot import ContextRow, SnapshotWriter


def put(home: StateDirectory, *rows: ContextRow) -> None:
    SnapshotWriter(home.context_db).apply(rows, refreshed_at=stamp(9))


@pytest.fixture
def state(state_home: StateDirectory) -> Iterator[sqlite3.Connection]:
    with closing(open_state(state_home.state_db)) as connection:
        yield connection


def keep_pending(state: sqlite3.Connection, id: str, customer: str = "ada") -> None:
    state.execute(
        "insert into pending_insights (id, customer, ts, subject, metric, value) values (?, "
        "?, ?, 's', 'm', '1')",
        (id, customer, stamp(0)),
    )


def test_an_insight_that_the_snapshot_lists_is_no_longer_pending(
    state_home: StateDirectory, state: sqlite3.Connection
) -> None:
    for id in ("i1", "i2", "i3"):
        keep_pending(state, id)
    put(state_home, row("ada", "a1", 5, "i1"), row("bob", "b1", 5, "i3"))
    assert clear_insights(state, state_home, built=()) == 1
    assert pending_insights(state) == {"i2", "i3"}, "another customer's list does not count"
    put(state_home, row("ada", "a2", 6, "i2", section="unverified"))
    assert clear_insights(state, state_home, built=()) == 1
    assert pending_insights(state) == {"i3"}


def test_an_insight_that_was_built_is_settled_though_the_context_leaves_it_out(
    state_home: StateDirectory, state: sqlite3.Connection
) -> None:
    keep_pending(state, "superseded")
    keep_pending(state, "later")
    put(state_home, row("ada", "a1", 5))
    assert clear_insights(state, state_home, built={"superseded"}) == 1
    assert pending_insights(state) == {"later"}


@pytest.mark.parametrize("context", [b"{", b"[]", b'{"insights": [1]}', b'{"insights": {"a": 1}}'])
def test_a_context_of_another_shape_settles_nothing(
    state_home: StateDirectory, state: sqlite3.Connection, context: bytes
) -> None:
    keep_pending(state, "i1")
    SnapshotWriter(state_home.context_db).apply(
        [ContextRow("ada", context, "v", stamp(1))], refreshed_at=stamp(1)
    )
    assert clear_insights(state, state_home, built=()) == 0
    assert pending_insights(state) == {"i1"}


def test_without_a_snapshot_nothing_is_settled(state: sqlite3.Connection, tmp_path: Path) -> None:
    keep_pending(state, "i1")
    assert clear_insights(state, StateDirectory(tmp_path / "nowhere"), built=()) == 0
    assert pending_insights(state) == {"i1"}
