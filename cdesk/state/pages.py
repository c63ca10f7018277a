"""Pages of ten rows of stored results, as rows of `state.db`: what `get_result` shows beyond the
first ten. The turn path reads them here and asks for those that are missing; the worker writes
them (cdesk/query/pages.py), because it alone opens Parquet.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from cdesk.state.database import write_transaction

PAGE_ROWS: Final = 10
"""No answer holds more rows."""
KEEP_DAYS: Final = 7
"""A page that nobody asked for as long is forgotten; it is written again from the stored result."""


@dataclass(frozen=True, slots=True)
class ResultPage:
    """One page, from 1. `rows` is None while the worker has not written it; `error_code` says that
    it never will.
    """

    artifact_id: str
    page: int
    customer: str
    asked_at: str
    rows: list[list[Any]] | None = None
    error_code: str | None = None
    error_message: str | None = None

    @property
    def is_waited_for(self) -> bool:
        return self.rows is None and self.error_code is None


def page_count(rows: int) -> int:
    """How many pages so many rows fill; an empty result has one."""
    return max(1, -(-rows // PAGE_ROWS))


def get_page(
    connection: sqlite3.Connection, artifact_id: str, page: int, *, customer: str
) -> ResultPage | None:
    """The caller's page; None where nobody has asked for it, or where the result is another's."""
    row = connection.execute(
        "select asked_at, rows, error_code, error_message from result_pages "
        "where artifact_id = ? and page = ? and customer = ?",
        (artifact_id, page, customer),
    ).fetchone()
    if row is None:
        return None
    rows = None if row[1] is None else orjson.loads(row[1])
    return ResultPage(artifact_id, page, customer, row[0], rows, row[2], row[3])


def ask_for_page(
    connection: sqlite3.Connection, artifact_id: str, page: int, *, customer: str, now: str
) -> None:
    """Have the worker write a page, again where it failed before. One that is there stays."""
    connection.execute(
        "insert into result_pages (artifact_id, page, customer, asked_at) values (?, ?, ?, ?) "
        "on conflict (artifact_id, page) do update set error_code = null, error_message = null, "
        "asked_at = excluded.asked_at where rows is null and customer = excluded.customer",
        (artifact_id, page, customer, now),
    )


def waited_for(connection: sqlite3.Connection, *, most: int = 20) -> list[ResultPage]:
    """The pages that somebody waits for, those asked for first before the others."""
    rows = connection.execute(
        "select artifact_id, page, customer, asked_at from result_pages "
        "where rows is null and error_code is null order by asked_at, artifact_id, page limit ?",
        (most,),
    )
    return [ResultPage(*row) for row in rows]


def count_waited_for(connection: sqlite3.Connection) -> int:
    row = connection.execute(
        "select count(*) from result_pages where rows is null and error_code is null"
    ).fetchone()
    return int(row[0])


def keep_pages(
    connection: sqlite3.Connection,
    artifact_id: str,
    pages: Mapping[int, Sequence[Sequence[Any]]],
    *,
    customer: str,
    now: str,
) -> None:
    """Enter what the worker has read, page by page, in one transaction."""
    with write_transaction(connection):
        connection.executemany(
            "insert into result_pages (artifact_id, page, customer, asked_at, rows) "
            "values (?, ?, ?, ?, ?) on conflict (artifact_id, page) do update set "
            "rows = excluded.rows, error_code = null, error_message = null",
            [
                (artifact_id, page, customer, now, orjson.dumps(rows).decode())
                for page, rows in pages.items()
            ],
        )


def fail_page(
    connection: sqlite3.Connection, artifact_id: str, page: int, *, code: str, message: str
) -> None:
    """Enter why a page can't be written."""
    connection.execute(
        "update result_pages set error_code = ?, error_message = ? "
        "where artifact_id = ? and page = ? and rows is null",
        (code, message, artifact_id, page),
    )


def forget_pages(connection: sqlite3.Connection, *, before: str) -> int:
    """Delete the pages asked for before that moment, and those of results that have gone; how
    many.
    """
    return connection.execute(
        "delete from result_pages where asked_at < ? or not exists "
        "(select 1 from artifacts where artifacts.artifact_id = result_pages.artifact_id)",
        (before,),
    ).rowcount
