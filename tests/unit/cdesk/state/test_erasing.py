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
from cdesk.state.database import open_state
from cdesk.state.erasing import erase_capture, erase_state, held_artifacts
from cdesk.state.facts import read_status
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
