"""`log_insight`: remember one finding, with the query that it came from."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

import orjson

from cdesk.contract.records import MAX_NAME, MAX_VALUE
from cdesk.core.errors import InvalidField, StateDirectoryError
from mcp_shim.tools.arguments import named
from mcp_shim.tools.tool import HASH, TS, Json, Progress, Tool, closed

if TYPE_CHECKING:
    from mcp_shim.session import Session

_INSERT: Final = """
insert into pending_insights (id, customer, ts, subject, metric, value, provenance_query_hash)
values (?, ?, ?, ?, ?, ?, ?)
"""


async def _log_insight(session: Session, given: Json, _: Progress | None) -> Json:
    if "value" not in given:
        raise InvalidField("value", "missing", "text, a finite number, a boolean or null")
    fields = {
        "subject": named(given, "subject", "what the insight is about"),
        "metric": named(given, "metric", "which property of the subject"),
        "value": given["value"],
        "provenance_query_hash": given.get("provenance_query_hash"),
    }
    recorder = session.recorder
    insight_id, ts = recorder.stamp()
    record, line = recorder.insight(fields, id=insight_id, ts=ts)
    fields = {name: record[name] for name in fields}
    row = (
        insight_id,
        session.caller.customer,
        ts,
        fields["subject"],
        fields["metric"],
        orjson.dumps(fields["value"]).decode(),
        fields["provenance_query_hash"],
    )
    stored = False

    def store(connection: sqlite3.Connection) -> None:
        # The row first, the line second, the commit last: a line that cannot be written takes the
        # row with it.
        nonlocal stored
        connection.execute(_INSERT, row)
        recorder.append(line)
        stored = True

    try:
        await session.app.readers.state.write(store)
    except StateDirectoryError as error:
        # The record is what counts. That it is pending is remembered in this process instead.
        if not stored:
            recorder.append(line)
        session.context.unsaved.append({**fields, "ts": ts, "insight_id": insight_id})
        recorder.note(
            "cdesk.fallback_triggered",
            {"component": "state.db", "fallback": "memory", "error_code": error.code},
        )
    recorder.note(
        "cdesk.insight_recorded",
        {
            "insight_id": insight_id,
            "subject": fields["subject"],
            "metric": fields["metric"],
            "provenance_query_hash": fields["provenance_query_hash"],
        },
    )
    return {"accepted": "queued", "insight_id": insight_id, "ts": ts, "status": "pending"}


LOG_INSIGHT: Final = Tool(
    name="log_insight",
    title="Remember an insight",
    text=(
        "Remember one finding: one value for one metric of one subject. With the query_hash of "
        "the result it comes from it becomes a verified fact where the value stands in one of "
        "that template's evidence columns (those with a `basis`); otherwise it is kept as "
        "unverified. get_context shows it at once as pending."
    ),
    input=closed(
        {
            "subject": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_NAME,
                "description": ("What it is about, in words to be used again: 'project atlas'."),
            },
            "metric": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_NAME,
                "description": (
                    "Which property of it: 'open questions'. A later insight on the same "
                    "subject and metric replaces this one."
                ),
            },
            "value": {
                "anyOf": [
                    {"type": "string", "maxLength": MAX_VALUE},
                    {"type": "number"},
                    {"type": "boolean"},
                    {"type": "null"},
                ],
                "description": "One value, exactly as it stands in the result.",
            },
            "provenance_query_hash": {
                **HASH,
                "description": ("query_hash of the result that the value comes from."),
            },
        },
        ("subject", "metric", "value"),
    ),
    output=closed(
        {
            "accepted": {"const": "queued"},
            "insight_id": {"type": "string"},
            "ts": TS,
            "status": {"const": "pending"},
        }
    ),
    handler=_log_insight,
)
