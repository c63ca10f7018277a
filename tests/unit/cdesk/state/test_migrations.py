"""A state.db of an earlier version is brought up to date, and what it holds stays readable."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from cdesk.core.errors import StateDirectoryError
from cdesk.state.database import SCHEMA_VERSION, open_state

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


def test_a_newer_one_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as state:
        state.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(StateDirectoryError, match="newer cdesk"):
        open_state(path)
    assert path.read_bytes() == before
