"""A state.db of an earlier version is brought up to date, and what it holds stays readable."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from cdesk.core.errors import StateDirectoryError
from cdesk.state.database import (
    SCHEMA_VERSION,
    StateFile,
    _upgrade,
    open_state,
    write_transaction,
)

RESULT = {
    "row_count": 1300,
    "watermark": "sampled 1,115 of 1,300 rows",
    "rows": [[9007199254740991]],
}


def test_answers_of_version_2_are_read_under_their_new_names(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(open_state(path)) as state:
        state.execute("alter table query_runs rename column data_fingerprint to data_mark")
        state.execute("alter table tickets drop column least_customers")
        state.execute(
            "insert into query_runs (customer, query_hash, ticket_id, template, data_mark, "
            "values_complete, finished_at, result) values ('ada', 'h', 't', 'x', 'm', 1, 'z', ?)",
            (orjson.dumps(RESULT).decode(),),
        )
        state.execute("pragma user_version = 2")
    with closing(open_state(path)) as state:
        fingerprint, result = state.execute(
            "select data_fingerprint, result from query_runs"
        ).fetchone()
        assert state.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,)
    assert fingerprint == "m"
    assert orjson.loads(result) == {
        "row_count": 1300,
        "sampling_note": "sampled 1,115 of 1,300 rows",
        "rows": [[9007199254740991]],
    }


def test_insights_on_their_way_stay_where_their_table_is_laid_out_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    rows = [
        (f"i{n}", "bob" if n % 3 else "ada", f"t{n % 5}", "s", "m", "1", None) for n in range(9)
    ]
    with closing(open_state(path)) as state:
        state.executescript(
            "drop table pending_insights; create table pending_insights (id text primary key, "
            "customer text not null, ts text not null, subject text not null, "
            "metric text not null, value text not null, provenance_query_hash text) "
            "without rowid; create index pending_by_customer on pending_insights (customer, ts)"
        )
        state.executemany("insert into pending_insights values (?, ?, ?, ?, ?, ?, ?)", rows)
        state.execute("pragma user_version = 6")
    with closing(open_state(path)) as state:
        found = state.execute("select * from pending_insights").fetchall()
        assert found == sorted(rows, key=lambda row: (row[1], row[2], row[0]))
        plan = state.execute(
            "explain query plan select id from pending_insights where customer = 'ada' "
            "order by ts desc, id desc limit 9"
        ).fetchall()
        assert len(plan) == 1, "in the order in which they stand"
        assert "USING PRIMARY KEY (customer=?)" in plan[0][3]
        indexes = state.execute(
            "select count(*) from sqlite_master where type = 'index' and sql is not null "
            "and tbl_name = 'pending_insights'"
        ).fetchone()
        assert indexes == (0,), "a second tree to write to with each insight"


def test_a_newer_one_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as state:
        state.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StateDirectoryError, match="newer cdesk"):
        open_state(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_every_earlier_version_is_brought_up_to_this_one(tmp_path: Path, version: int) -> None:
    path = tmp_path / "state.db"
    with closing(open_state(path)) as state:
        whole = state.execute("select name, sql from sqlite_master order by name").fetchall()
        columns = [
            [row[1] for row in state.execute(f"pragma table_info({name})")] for name, _ in whole
        ]
        state.execute("insert into worker_status values ('a', '1', 't')")
        if version < 3:
            state.execute("alter table query_runs rename column data_fingerprint to data_mark")
        if version < 6:
            state.execute("alter table tickets drop column least_customers")
        state.execute("drop index tickets_by_end")
        state.execute("drop table result_pages")
        state.execute(f"pragma user_version = {version}")
    with closing(open_state(path)) as state:
        found = state.execute("select name, sql from sqlite_master order by name").fetchall()
        assert [name for name, _ in found] == [name for name, _ in whole]
        assert [
            sorted(row[1] for row in state.execute(f"pragma table_info({name})"))
            for name, _ in found
        ] == [sorted(names) for names in columns]
        assert state.execute("select value from worker_status").fetchall() == [("1",)]


def test_what_another_process_has_just_upgraded_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(open_state(path)) as state:
        _upgrade(state, 2)  # whose steps cannot be made a second time
        assert not state.in_transaction
        state.execute("pragma user_version = 2")
        with pytest.raises(sqlite3.OperationalError):
            _upgrade(state, 2)
        assert not state.in_transaction
        assert state.execute("pragma user_version").fetchone() == (2,)


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(open_state(path)) as state, closing(open_state(path, timeout_seconds=0)) as other:
        with write_transaction(state):
            state.execute("insert into worker_status values ('a', '1', 't')")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("begin immediate")
        with contextlib.suppress(ZeroDivisionError), write_transaction(state):
            state.execute("insert into worker_status values ('b', '1', 't')")
            raise ZeroDivisionError
        assert not state.in_transaction
        assert other.execute("select key from worker_status").fetchall() == [("a",)]


def test_a_new_one_is_private_and_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(open_state(path)) as state:
        assert state.execute("pragma journal_mode").fetchone() == ("wal",)
        if sys.platform != "win32":
            assert path.stat().st_mode & 0o077 == 0
        done: list[object] = []
        thread = threading.Thread(target=lambda: done.append(state.execute("select 1").fetchone()))
        thread.start()
        thread.join()
        assert done == [(1,)], "any thread may use it, one at a time"


def test_a_file_stands_while_it_is_the_one_that_was_opened_and_sound(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    open_state(path).close()
    file = StateFile(path)
    file.look()
    assert file.stands
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"no database" * 200)
    other = StateFile(damaged)
    assert other.stands, "nobody has looked yet"
    other.look()
    assert not other.stands
    path.rename(tmp_path / "aside")
    assert not file.stands
    open_state(path).close()
    assert not file.stands
