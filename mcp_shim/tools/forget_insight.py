"""`forget_insight`: take one finding out of the memory, at the person's wish."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from cdesk.contract.records import check_record_id
from cdesk.core.errors import InvalidField
from cdesk.state.forgotten import hide_insight
from mcp_shim.tools.arguments import required
from mcp_shim.tools.tool import TS, Json, Progress, Tool, closed

if TYPE_CHECKING:
    from mcp_shim.session import Session

_ALLOWED: Final = "the insight_id of an insight, as get_context or the template insights gives it"


async def _forget_insight(session: Session, given: Json, _: Progress | None) -> Json:
    insight_id = required(given, "insight_id", _ALLOWED)
    try:
        check_record_id(insight_id)
    except ValueError as problem:
        raise InvalidField("insight_id", str(problem.args[0]), _ALLOWED) from None
    recorder = session.recorder
    event_id, ts = recorder.stamp()
    line = recorder.own_line("cdesk.insight_forgotten", {"insight_id": insight_id}, id=event_id)

    def forget(connection: sqlite3.Connection) -> None:
        # As in log_insight: a line that cannot be written takes the row with it.
        hide_insight(connection, insight_id, customer=session.caller.customer, now=ts)
        recorder.append(line)

    await session.app.readers.state.write(forget)
    session.context.forget_unsaved(insight_id)
    return {"accepted": "queued", "insight_id": insight_id, "ts": ts}


FORGET_INSIGHT: Final = Tool(
    name="forget_insight",
    title="Forget an insight",
    text=(
        "Forget one insight, at the person's wish alone; earlier values of the same subject and "
        "metric go with it. Gone from get_context at once, from query results with the next "
        "build. What it rested on stays in the provenance."
    ),
    input=closed(
        {
            "insight_id": {
                "type": "string",
                "maxLength": 36,
                "description": "From get_context, or the template insights.",
            }
        },
        ("insight_id",),
    ),
    output=closed({"accepted": {"const": "queued"}, "insight_id": {"type": "string"}, "ts": TS}),
    handler=_forget_insight,
    idempotent=True,
    destructive=True,
)
