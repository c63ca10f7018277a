"""A dry run: the engine's plan for a request and what it makes of the answer's size."""

from __future__ import annotations

import re
import sqlite3
from typing import Any, Final

from cdesk.query.least_customers import applies
from cdesk.query.request import QueryRequest

_PLAN_CHARACTERS: Final = 8_000


def estimate(request: QueryRequest, plan: str, state: sqlite3.Connection) -> dict[str, Any]:
    """What a dry run answers.

    Where the plan names no bytes, they come from its rows and the width of the last answer that
    the template gave here.
    """
    if applies(request):  # an engine's estimate knows the rows that the answer would leave out
        plan = "not shown: rows of fewer customers than are shown would be counted in it"
    rows, size = estimates(plan)
    if size is None and rows is not None:
        size = _size_by_last_answer(request, rows, state)
    return {
        "dry_run": True,
        "template": request.template.name,
        "query_hash": request.query_hash,
        "query_tag": request.query_tag,
        "sql": request.template.sql,
        "binds": [
            {"name": name, "value": value}
            for name, value in zip(request.template.binds, request.binds, strict=True)
        ],
        "estimated_rows": rows,
        "estimated_bytes": size,
        "plan": plan if len(plan) <= _PLAN_CHARACTERS else plan[:_PLAN_CHARACTERS] + "…",
    }


def estimates(plan: str) -> tuple[int | None, int | None]:
    """Rows and bytes that an engine's plan expects, None where it says nothing of them.

    DuckDB's plan names rows (`"Estimated Cardinality": "12"`) operator by operator from the top:
    the first is the answer's. Snowflake's names `bytesAssigned`, the bytes of the partitions that
    would be read.
    """
    rows = re.search(r'"Estimated Cardinality": "(\d+)"', plan)
    size = re.search(r'bytesAssigned"?\s*[:=]\s*(\d+)', plan)
    return (
        int(rows.group(1)) if rows else None,
        int(size.group(1)) if size else None,
    )


def _size_by_last_answer(request: QueryRequest, rows: int, state: sqlite3.Connection) -> int | None:
    last = state.execute(
        "select json_extract(result, '$.byte_count'), json_extract(result, '$.row_count') "
        "from query_runs where customer = ? and template = ? "
        "and json_extract(result, '$.row_count') > 0 order by finished_at desc limit 1",
        (request.caller.customer, request.template.name),
    ).fetchone()
    return None if last is None else rows * last[0] // last[1]
