"""What is erased from a SQLite file is in none of its bytes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest

from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.state import erasing
from cdesk.state.access import AccessStore, SessionRow
from cdesk.state.database import open_state
from cdesk.state.erasing import (
    erase_access,
    erase_answers,
    erase_capture,
    erase_snapshot,
    erase_state,
    held_artifacts,
)
from cdesk.state.facts import read_status
from cdesk.state.snapshot import ContextRow, SnapshotWriter
from cdesk.state.status import Spent
from uploader.capture import Capture
from uploader.capture_store import CaptureStore

SECRET = "only-bob-knows"


def bytes_of(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))


def test_rows_of_the_customer_and_results_that_name_them_leave_no_byte(
    state_home: StateDirectory,
) -> None:
    path = state_home.state_db
    with contextlib.closing(open_state(path)) as state:
        for customer, result in (("bob", SECRET), ("ada", "of bob"), ("ada", "of ada")):
            state.execute(
                "insert into query_runs (customer, query_hash, ticket_id, template, "
                "values_complete, finished_at, result) values (?, ?, 't', 'x', 1, 'z', ?)",
                (customer, result, f'{{"rows": ["{result}"]}}'),
            )
        state.execute(
            "insert into worker_status values ('last_build', '{\"message\": \"bob\"}', 'now')"
        )
    assert SECRET.encode() in bytes_of(path)
    counts = erase_state(path, "bob", changed_files=[])
    assert counts["query_runs"] == 1
    assert counts["results of others"] == 1
    assert SECRET.encode() not in bytes_of(path)
    assert b"bob" not in bytes_of(path)
    with contextlib.closing(open_state(path)) as state:
        assert state.execute("select query_hash from query_runs").fetchall() == [("of ada",)]
    assert held_artifacts(path, "bob") == 0


def test_a_name_of_other_letters_is_known_as_the_files_hold_it(
    state_home: StateDirectory,
) -> None:
    customer = 'Bób "b"'
    path = state_home.state_db
    with contextlib.closing(open_state(path)) as state:
        text = json.dumps({"message": f"of {customer}"}, ensure_ascii=False)
        state.execute("insert into worker_status values ('last_build', ?, 'now')", (text,))
        state.execute("insert into worker_status values ('last_test', '{}', 'now')")
        for name in ("gone.ndjson", "kept.ndjson"):
            state.execute(
                "insert into checkpoints (source_file, next_offset, last_offset, records, "
                "tail_crc, updated_at) values (?, 1, 0, 1, 0, 'now')",
                (name,),
            )
    erase_state(path, customer, changed_files=["gone.ndjson"])
    with contextlib.closing(open_state(path)) as state:
        kept = dict(state.execute("select key, value from worker_status"))
        assert kept == {"last_build": '{"message":null}', "last_test": "{}"}
        assert state.execute("select source_file from checkpoints").fetchall() == [("kept.ndjson",)]


def test_a_customer_whose_name_holds_the_other_keeps_all(state_home: StateDirectory) -> None:
    """Of ada@x.io nothing is left; nada@x.io and ada@x.io.au are others."""
    path = state_home.state_db
    others = ("nada@x.io", "ada@x.io.au", "mary-ada@x.io")
    with contextlib.closing(open_state(path)) as state:
        for customer in (*others, "ada@x.io"):
            state.execute(
                "insert into artifacts values (?, ?, 'u', 'parquet', 'h', 1, 1, 0, 'z', 'z', 1)",
                (customer, customer),
            )
            state.execute(
                "insert into tickets (ticket_id, customer, is_analyst, template, params, "
                "query_hash, query_tag, status, submitted_at, expires_at, result) "
                "values (?, ?, 0, 'x', '{}', 'h', 't', 'queued', 'z', 'z', ?)",
                (customer, customer, json.dumps({"rows": others})),
            )
            state.execute(
                "insert into pending_insights values (?, ?, 't', 's', 'm', '\"of ada@x.io\"', null)",
                (customer, customer),
            )
        spent = '{"period":"2026-03-02","problem":"no grant for ada@x.io","used":{"credits":4.5}}'
        state.execute("insert into worker_status values ('spent', ?, 'now')", (spent,))
        state.execute("insert into worker_status values ('worker', 'of ada@x.io [', 'now')")
    counts = erase_state(path, "ada@x.io", changed_files=[])
    assert counts["results of others"] == 0
    with contextlib.closing(open_state(path)) as state:
        for table in ("artifacts", "tickets", "pending_insights"):
            left = {row[0] for row in state.execute(f"select customer from {table}")}
            assert left == set(others), table
        kept = read_status(state, Spent)
    assert (kept.period, kept.used, kept.problem) == ("2026-03-02", {"credits": 4.5}, None)


def test_what_was_deleted_long_before_leaves_no_byte_either(state_home: StateDirectory) -> None:
    """As the daily clean-up deletes: the row is gone, its page is only free."""
    path = state_home.state_db
    with contextlib.closing(open_state(path)) as state:
        state.execute("pragma secure_delete = off")
        state.executemany(
            "insert into pending_insights (id, customer, ts, subject, metric, value) "
            "values (?, 'bob', 't', 's', 'm', ?)",
            [(str(number), SECRET * 20) for number in range(50)],
        )
        state.execute("delete from pending_insights")
    assert SECRET.encode() in bytes_of(path)
    erase_state(path, "bob", changed_files=[])
    assert SECRET.encode() not in bytes_of(path)


def test_a_reader_that_stays_is_told_and_it_can_be_done_again(
    state_home: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "WAIT_SECONDS", 0.2)
    path = state_home.state_db
    with contextlib.closing(open_state(path)) as state:
        state.execute("insert into quarantine_marks values ('q', 'replayed', 'now')")
        state.execute(
            "insert into pending_insights (id, customer, ts, subject, metric, value) "
            "values ('i', 'bob', 't', 's', 'm', '1')"
        )
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select * from quarantine_marks").fetchall()
        with pytest.raises(StateDirectoryError, match=r"try again"):
            erase_state(path, "bob", changed_files=[])
        reader.execute("rollback")
    erase_state(path, "bob", changed_files=[])
    assert b"bob" not in bytes_of(path)


def test_capture_forgets_activities_and_keeps_how_far_it_has_read(tmp_path: Path) -> None:
    path = tmp_path / "capture.db"
    CaptureStore(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("insert into facts values ('a', 'k', ?, '{}', null)", (SECRET,))
        store.execute("insert into told values ('id', ?, 1, 'z', 'claude_code')", (SECRET,))
        store.execute("insert into files values ('f', 1, 2, 3, 4, 5, x'00', ?)", (SECRET,))
    assert erase_capture(path, "ada", is_captured=True) == 1
    assert SECRET.encode() not in bytes_of(path)
    with contextlib.closing(sqlite3.connect(path)) as store:
        assert store.execute("select read_to, context from files").fetchall() == [(5, "{}")]


@pytest.mark.parametrize(("customer", "gone"), [("bob", 1), ("eve", 0)])
def test_whose_histories_were_captured_here_before_is_forgotten_and_nobody_else(
    tmp_path: Path, customer: str, gone: int
) -> None:
    """bob's were, then ada's: their activities are not told apart."""
    path = tmp_path / "capture.db"
    with contextlib.closing(CaptureStore(path)) as store:
        for owner in ("bob", "bob", "ada"):
            Capture(store, (), customer=owner)
        store.put([("a", "k", b'["z", [true, "s"], {}, null, null]', b"{}", None)])
    assert erase_capture(path, customer, is_captured=False) == gone
    asked = []
    with contextlib.closing(CaptureStore(path)) as store:
        Capture(store, (), customer="ada", earlier=lambda: asked.append(1) or ())  # type: ignore[func-returns-value]
        assert store.load([("a", "k")]).keys() == (set() if gone else {("a", "k")})
    assert len(asked) == gone, "what was told of ada's is noted anew from the warehouse"
    assert (b"bob" in bytes_of(path)) == (not gone)


def test_capture_of_an_earlier_version_forgets_as_well(tmp_path: Path) -> None:
    path = tmp_path / "capture.db"
    CaptureStore(path).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("drop table told")
        store.execute("insert into facts values ('a', 'k', ?, '{}', null)", (SECRET,))
    assert erase_capture(path, "ada", is_captured=True) == 1


def test_where_there_is_no_file_there_is_nothing_to_erase(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    assert held_artifacts(path, "bob") == 0
    assert erase_state(path, "bob", changed_files=[]) == {}
    assert erase_answers(path, "bob", changed_files=[]) == []
    assert erase_access(path, "bob") == erase_snapshot(path, "bob") == 0
    assert erase_capture(path, "bob", is_captured=True) == 0
    assert not path.exists()


def test_answers_go_but_for_what_is_held_waits_or_is_anothers(state_home: StateDirectory) -> None:
    path = state_home.state_db
    with contextlib.closing(open_state(path)) as state:
        for customer in ("bob", "ada"):
            for held in (0, 1):
                id = f"{customer}{held}"
                state.execute(
                    "insert into artifacts (artifact_id, customer, uri, format, query_hash, rows, "
                    "bytes, sampled, created_at, expires_at, legal_hold) "
                    "values (?, ?, ?, 'parquet', 'h', 1, 1, 0, 't', 't', ?)",
                    (id, customer, f"uri of {id}", held),
                )
                state.execute(
                    "insert into result_pages (artifact_id, page, customer, asked_at) "
                    "values (?, 1, ?, 't')",
                    (id, customer),
                )
            state.execute(
                "insert into query_runs (customer, query_hash, ticket_id, template, "
                "values_complete, finished_at, result) values (?, 'h', 't', 'x', 1, 'z', '{}')",
                (customer,),
            )
            for status in ("queued", "running", "succeeded", "failed"):
                state.execute(
                    "insert into tickets (ticket_id, customer, is_analyst, template, params, "
                    "query_hash, query_tag, status, submitted_at, expires_at) "
                    "values (?, ?, 0, 'x', '{}', 'h', 't', ?, 't', 't')",
                    (f"{customer} {status}", customer, status),
                )
            for query in ("h1", "h2", None):
                state.execute(
                    "insert into pending_insights values (?, ?, 't', 's', 'm', '1', ?)",
                    (f"{customer} of {query}", customer, query),
                )
        for file in ("a.ndjson", "b.ndjson"):
            state.execute("insert into checkpoints values (?, 1, 0, 1, 0, 't')", (file,))
    assert held_artifacts(path, "bob") == 1
    uris = erase_answers(path, "bob", changed_files=["a.ndjson"], rested=["h1"])
    assert uris == ["uri of bob0"]

    def ids(state: sqlite3.Connection, sql: str) -> list[str]:
        return sorted(row[0] for row in state.execute(sql))

    with contextlib.closing(open_state(path)) as state:
        held = ["ada0", "ada1", "bob1"]
        assert ids(state, "select artifact_id from artifacts") == held
        assert ids(state, "select artifact_id from result_pages") == held
        assert ids(state, "select customer from query_runs") == ["ada"]
        assert ids(state, "select ticket_id from tickets where customer = 'bob'") == ["bob queued", "bob running"]  # fmt: skip
        assert len(ids(state, "select ticket_id from tickets where customer = 'ada'")) == 4
        assert ids(state, "select id from pending_insights") == ["ada of None", "ada of h1", "ada of h2", "bob of None", "bob of h2"]  # fmt: skip
        assert ids(state, "select source_file from checkpoints") == ["b.ndjson"]


def test_who_may_and_what_is_known_of_a_customer_goes_and_of_others_stays(
    state_home: StateDirectory,
) -> None:
    with contextlib.closing(AccessStore(state_home.access_db)) as store:
        store.add_tokens(["bob", "bob", "ada"], expires_at=None, now="t")
        for customer in ("bob", "ada"):
            store.join_session(SessionRow(customer, customer, "s", 1, 1), idle_ns=1)
    rows = [ContextRow(customer, b"{}", "v", "t") for customer in ("bob", "ada")]
    SnapshotWriter(state_home.context_db).apply(rows, refreshed_at="t")
    assert erase_access(state_home.access_db, "bob") == 3
    assert erase_snapshot(state_home.context_db, "bob") == 1
    assert erase_access(state_home.access_db, "bob") == 0
    assert b"bob" not in bytes_of(state_home.access_db) + bytes_of(state_home.context_db)
    with contextlib.closing(AccessStore(state_home.access_db)) as store:
        assert [token.customer for token in store.tokens()] == ["ada"]
