"""The earlier answer to the same request, and whether it still stands (docs/safesql.md, "Asked
again"): for a day while the data that it saw has not changed, longer where no clock goes into it.

Answers are rows of `query_runs` in state.db, one for each customer and query_hash.
"""

from __future__ import annotations

import re
import sqlite3
from typing import Any, Final

import orjson

from cdesk.contract.catalog import Template, normalise_sql
from cdesk.contract.vocabulary import SYSTEM_ACTIVITIES
from cdesk.core.clock import format_ts, parse_ts, to_ns
from cdesk.query.request import QueryRequest
from cdesk.state.tickets import BYTE_CAP_DEFAULT
from cdesk.warehouse.protocol import Warehouse

REUSE_SECONDS: Final = 24 * 3600
"""An answer stands for this long on unchanged data. One that no clock goes into stands as long
as its artifact.
"""
FINGERPRINT_TEMPLATE: Final = "data_fingerprint"
"""The template whose answer changes only when the data does
(analyses/safesql/data_fingerprint.sql).
"""

_CLOCK = re.compile(
    r"\b(now|current_timestamp|current_date|current_time|localtimestamp|localtime|sysdate"
    r"|systimestamp|getdate|today|get_current_timestamp|transaction_timestamp"
    r"|statement_timestamp|clock_timestamp)\b",
    re.IGNORECASE,
)
_DAY_NS: Final = 86_400 * 1_000_000_000
_MOST_FINGERPRINTS: Final = 4_096


def fingerprint_params(template: Template, request: QueryRequest) -> dict[str, Any]:
    """The parameters that ask the fingerprint template about the rows that `request` sees."""
    given: dict[str, Any] = {"everyone": request.sees_everyone}
    if any(parameter.name == "named" for parameter in template.parameters):
        given["named"] = f",{','.join(request.named_activities())},"
    return template.check_params(given)


class Fingerprints:
    """Fingerprints that still stand, as far as this process knows what has landed: one query a
    landing, not one a question. Safe to use from several threads.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._kept: dict[tuple[str | None, str, str], tuple[str, str]] = {}

    def mark(self, request: QueryRequest) -> str | None:
        """To be taken before the fingerprint is asked for, and kept with it: before there is a
        transaction, which would not see what lands between the two.
        """
        system = not SYSTEM_ACTIVITIES.isdisjoint(request.named_activities())
        return self._warehouse.data_state(_whose(request), system=system)

    def known(self, request: QueryRequest, template: Template, mark: str | None) -> str | None:
        """The fingerprint of the data that `request` sees, where it need not be asked for."""
        kept = self._kept.get(_key(request, template))
        return None if kept is None or kept[0] != mark else kept[1]

    def keep(
        self, request: QueryRequest, template: Template, mark: str | None, fingerprint: str
    ) -> None:
        if mark is not None:
            if len(self._kept) >= _MOST_FINGERPRINTS:
                self._kept.clear()
            self._kept[_key(request, template)] = (mark, fingerprint)


def _whose(request: QueryRequest) -> str | None:
    return None if request.sees_everyone else request.caller.customer


def _key(request: QueryRequest, template: Template) -> tuple[str | None, str, str]:
    return _whose(request), ",".join(request.named_activities()), template.hash


def earlier_answer(
    state: sqlite3.Connection, request: QueryRequest, fingerprint: str | None, *, now_ns: int
) -> dict[str, Any] | None:
    """The answer that stands for `request`, None where there is none or it has aged.

    fingerprint: of the data as it is now, None where that is not known. Whether the answer's file
    is still there is for the caller to look at.
    """
    row = state.execute(
        "select data_fingerprint, byte_cap, finished_at, result from query_runs "
        "where customer = ? and query_hash = ?",
        (request.caller.customer, request.query_hash),
    ).fetchone()
    if row is None or fingerprint is None or row[0] != fingerprint:
        return None
    age = (now_ns - to_ns(parse_ts(row[2]))) / 1e9
    if not (0 <= age <= REUSE_SECONDS or is_timeless(request.template)):
        return None
    result: dict[str, Any] = orjson.loads(row[3])
    # Its proof holds the columns that were evidence then.
    evidence = request.template.evidence_columns
    if any(column.get("basis") != evidence.get(column["name"]) for column in result["columns"]):
        return None
    if result["sampled"]:
        cap = BYTE_CAP_DEFAULT if row[1] is None else row[1]
        return result if cap == request.cap else None
    return result if result["byte_count"] <= request.cap else None


def keep_answer(
    state: sqlite3.Connection,
    request: QueryRequest,
    result: dict[str, Any],
    *,
    fingerprint: str | None,
    values_complete: bool,
    finished_at: str,
) -> None:
    """Enter `result` as the answer to `request`, in place of an earlier one."""
    state.execute(
        "insert or replace into query_runs (customer, query_hash, ticket_id, template, "
        "data_fingerprint, byte_cap, values_complete, finished_at, result) "
        "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            request.caller.customer,
            request.query_hash,
            request.run_id,
            request.template.name,
            fingerprint,
            request.byte_cap,
            values_complete,
            finished_at,
            orjson.dumps(result).decode(),
        ),
    )


def keep_trend(
    state: sqlite3.Connection, request: QueryRequest, trend: dict[str, Any] | None
) -> None:
    """Enter the series behind the answer to `request`."""
    state.execute(
        "update query_runs set result = json_set(result, '$.trend', json(?)) "
        "where customer = ? and query_hash = ?",
        (orjson.dumps(trend).decode(), request.caller.customer, request.query_hash),
    )


def forget_answers(state: sqlite3.Connection, *, now_ns: int, keep_days: int) -> int:
    """Delete answers older than `keep_days`, or whose stored result is gone; how many.

    An answer is of no use without its artifact: the row would only be read to find the file
    missing.
    """
    limit = format_ts(now_ns - keep_days * _DAY_NS)
    return state.execute(
        "delete from query_runs where finished_at < ? or not exists (select 1 from artifacts "
        "where artifact_id = json_extract(query_runs.result, '$.artifact.artifact_id'))",
        (limit,),
    ).rowcount


def is_timeless(template: Template) -> bool:
    """Whether no clock goes into the answer: it changes with the data alone."""
    return _CLOCK.search(normalise_sql(template.sql)) is None
