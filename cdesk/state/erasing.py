"""Taking one customer out of the SQLite files of a state directory, free pages included."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from cdesk.core.errors import StateDirectoryError
from cdesk.core.mentions import Mentions

WAIT_SECONDS: Final = 10.0
_RESULTS: Final = {"query_runs": "result", "result_pages": "rows", "tickets": "result"}
"""Table → the column that shows rows of a result."""


def held_artifacts(path: Path, customer: str) -> int:
    """How many of the customer's stored results are under legal hold, as far as state.db knows."""
    if not path.exists():
        return 0
    with _opened(path, clean=False) as connection:
        return int(
            connection.execute(
                "select count(*) from artifacts where customer = ? and legal_hold", (customer,)
            ).fetchone()[0]
        )


def erase_state(path: Path, customer: str, *, changed_files: Sequence[str]) -> dict[str, int]:
    """Delete the customer's rows from state.db; how many, by what they were. `changed_files` are
    queue files whose checkpoints no longer hold.

    Raises:
        StateDirectoryError: it cannot be done now, as a process keeps the file busy.
    """
    if not path.exists():
        return {}
    mentions = Mentions(customer)
    with _opened(path) as connection:
        connection.create_function(
            "mentions", 1, lambda text: bool(text) and mentions.in_text(text)
        )
        counts = {
            table: _deleted(connection, f"delete from {table} where customer = ?", customer)
            for table in _tables_of_customers(connection)
        }
        # A result of somebody else may show them among its rows: it is asked for again. What others
        # wait for and what they wrote is theirs.
        counts["results of others"] = sum(
            _deleted(connection, f"delete from {table} where mentions({column})")
            for table, column in _RESULTS.items()
        )
        for key, value in connection.execute(
            "select key, value from worker_status where mentions(value)"
        ).fetchall():
            try:
                told = orjson.dumps(_without(orjson.loads(value), mentions)).decode()
            except ValueError:  # no fact that anybody could read
                told = "null"
            _deleted(connection, "update worker_status set value = ? where key = ?", told, key)
        connection.executemany(
            "delete from checkpoints where source_file = ?", [(name,) for name in changed_files]
        )
    return counts


def erase_answers(
    path: Path, customer: str, *, changed_files: Sequence[str], rested: Sequence[str] = ()
) -> list[str]:
    """Delete the customer's answers and the notes of their stored results from state.db, but for
    those under legal hold; the URIs of these results. Of insights on their way those that were
    drawn from the queries `rested` go. `changed_files` and errors as of `erase_state`.
    """
    if not path.exists():
        return []
    with _opened(path) as connection:
        held = "(select artifact_id from artifacts where legal_hold)"
        rows = connection.execute(
            "select uri from artifacts where customer = ? and not legal_hold", (customer,)
        ).fetchall()
        for sql in (
            f"delete from result_pages where customer = ? and artifact_id not in {held}",
            "delete from artifacts where customer = ? and not legal_hold",
            "delete from query_runs where customer = ?",
            "delete from tickets where customer = ? and status not in ('queued', 'running')",
        ):
            _deleted(connection, sql, customer)
        _deleted(
            connection,
            "delete from pending_insights where customer = ? "
            "and provenance_query_hash in (select value from json_each(?))",
            customer,
            json.dumps(list(rested)),
        )
        connection.executemany(
            "delete from checkpoints where source_file = ?", [(name,) for name in changed_files]
        )
    return [uri for (uri,) in rows]


def erase_access(path: Path, customer: str) -> int:
    """Delete the customer's tokens and sessions from access.db; how many. Raises as erase_state."""
    if not path.exists():
        return 0
    with _opened(path) as connection:
        return sum(
            _deleted(connection, f"delete from {table} where customer = ?", customer)
            for table in ("tokens", "sessions")
        )


def erase_snapshot(path: Path, customer: str) -> int:
    """Delete the customer's context from context.db; how many. Raises as erase_state."""
    if not path.exists():
        return 0
    with _opened(path) as connection:
        return _deleted(connection, "delete from context where customer = ?", customer)


def erase_capture(path: Path, customer: str, *, is_captured: bool) -> int:
    """Forget what capture knows of activities where any of them are the customer's: those of this
    moment's (`is_captured`) or of an earlier one, which are not told apart. How far it has read
    stays, so that what was erased is not read again; of another's what was told is noted anew. How
    many activities went. Raises as erase_state.
    """
    if not path.exists():
        return 0
    with _opened(path) as connection:
        noted = _deleted(connection, "delete from settings where name = ?", f"customer:{customer}")
        if not (noted or is_captured):
            return 0
        facts = _deleted(connection, "delete from facts")
        for table in {"requests", "told"} & _tables(connection):  # an earlier version had fewer
            _deleted(connection, f"delete from {table}")
        _deleted(connection, "update files set context = '{}' where context <> '{}'")
        if not is_captured:
            _deleted(connection, "delete from settings where name = 'restored'")
    return facts


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    return {name for (name,) in rows}


def _tables_of_customers(connection: sqlite3.Connection) -> list[str]:
    """Tables with a column `customer`."""
    return [
        name
        for name in sorted(_tables(connection))
        if any(row[1] == "customer" for row in connection.execute(f"pragma table_info({name})"))
    ]


def _without(value: Any, mentions: Mentions) -> Any:
    """JSON with null for each text that names the customer: a fact has its default then, and its
    figures stand.
    """
    match value:
        case dict():
            return {
                name: _without(one, mentions)
                for name, one in value.items()
                if not mentions.in_text(name)
            }
        case list():
            found = [_without(one, mentions) for one in value]
            return [one for one in found if one is not None]
        case str() if mentions.in_text(value):
            return None
    return value


def _deleted(connection: sqlite3.Connection, sql: str, *values: str) -> int:
    return connection.execute(sql, values).rowcount


@contextlib.contextmanager
def _opened(path: Path, *, clean: bool = True) -> Iterator[sqlite3.Connection]:
    """A connection whose deletions leave nothing behind: freed pages are overwritten and given
    back, and the write-ahead log is emptied. So are those that were freed long ago, whether
    anything is deleted now or not. `clean` is false where it only reads.
    """
    try:
        with contextlib.closing(
            sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
        ) as connection:
            connection.execute("pragma secure_delete = on")
            yield connection
            if not clean:
                return
            connection.execute("vacuum")
            deadline = time.monotonic() + WAIT_SECONDS
            while connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]:
                if time.monotonic() > deadline:
                    raise StateDirectoryError(
                        f"{path.name} is read all the time, so that its log cannot be emptied; "
                        "end what reads it and try again"
                    )
                time.sleep(0.05)
    except sqlite3.Error as error:
        raise StateDirectoryError(f"{path} cannot be cleaned ({error}); try again") from None
