"""How far files have landed is kept in state.db, which may be away or damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdesk.core.errors import StateDirectoryError
from cdesk.core.home import StateDirectory
from cdesk.state.database import open_state
from uploader.checkpoints import Checkpoints, Progress

NOW = "2026-01-31T12:00:00.000000Z"


class Failing:
    """A connection on which everything fails."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.closed = 0

    def execute(self, *_: Any) -> Any:
        error = sqlite3.DatabaseError("for the test")
        error.sqlite_errorcode = self.code
        raise error

    def close(self) -> None:
        self.closed += 1
        raise sqlite3.ProgrammingError("for the test")


@pytest.fixture
def checkpoints(state_home: StateDirectory) -> Iterator[Checkpoints]:
    made = Checkpoints(lambda: open_state(state_home.state_db), repair=lambda: None)
    yield made
    made.close()


def test_nothing_has_landed_of_a_new_file() -> None:
    assert Progress() == Progress(next_offset=0, last_offset=-1, records=0, tail_crc=0)


def test_progress_comes_back_until_it_is_forgotten(
    checkpoints: Checkpoints, state_home: StateDirectory
) -> None:
    one, two = Progress(10, 5, 2, 77), Progress(20, 15, 4, 2**32 - 1)
    assert checkpoints.load() == {}
    assert checkpoints.save([("a", one), ("b", one)], now=NOW)
    assert checkpoints.save([("b", two)], now=NOW)
    assert checkpoints.load() == {"a": one, "b": two}
    with closing(open_state(state_home.state_db)) as state:
        assert state.execute("select distinct updated_at from checkpoints").fetchall() == [(NOW,)]
    assert checkpoints.forget(["a", "never known"])
    assert checkpoints.load() == {"b": two}
    assert checkpoints.save([], now=NOW)
    assert checkpoints.forget([])
    assert checkpoints.load() == {"b": two}


def test_one_connection_serves_until_it_is_closed(state_home: StateDirectory) -> None:
    made: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        made.append(open_state(state_home.state_db))
        return made[-1]

    checkpoints = Checkpoints(connect, repair=lambda: None)
    checkpoints.close()
    assert checkpoints.save([], now=NOW)
    assert made == [], "nothing to write opens nothing"
    for _ in range(2):
        checkpoints.load()
        checkpoints.save([("a", Progress())], now=NOW)
    assert len(made) == 1
    checkpoints.close()
    with pytest.raises(sqlite3.ProgrammingError):
        made[0].execute("select 1")
    checkpoints.load()
    assert len(made) == 2
    checkpoints.close()


def does(name: str) -> Callable[[Checkpoints], object]:
    return {
        "load": Checkpoints.load,
        "save": lambda own: own.save([("a", Progress())], now=NOW),
        "forget": lambda own: own.forget(["a"]),
    }[name]


@pytest.mark.parametrize("name", ["load", "save", "forget"])
@pytest.mark.parametrize(
    ("code", "repairs"),
    [(sqlite3.SQLITE_NOTADB, 1), (sqlite3.SQLITE_CORRUPT, 1), (sqlite3.SQLITE_BUSY, 0)],
)
def test_what_cannot_be_used_is_done_without_and_mended_where_it_is_damaged(
    state_home: StateDirectory, name: str, code: int, repairs: int
) -> None:
    repaired: list[bool] = []

    def repair() -> None:
        repaired.append(True)
        raise OSError("and can't be mended either")

    failing = Failing(code)
    connections: list[Any] = [failing, open_state(state_home.state_db)]
    checkpoints = Checkpoints(lambda: connections.pop(0), repair=repair)
    assert does(name)(checkpoints) is (None if name == "load" else False)
    assert (failing.closed, len(repaired)) == (1, repairs)
    assert does(name)(checkpoints) == ({} if name == "load" else True), "tried again"
    checkpoints.close()


def test_a_state_db_that_cannot_be_opened_is_done_without(tmp_path: Path) -> None:
    def connect() -> sqlite3.Connection:
        raise StateDirectoryError(f"{tmp_path} cannot be used")

    def repair() -> None:
        raise AssertionError

    checkpoints = Checkpoints(connect, repair=repair)
    assert checkpoints.load() is None
    assert not checkpoints.save([("a", Progress())], now=NOW)
    checkpoints.close()
