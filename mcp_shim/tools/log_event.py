"""`log_event`: record one activity of the conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cdesk.contract.records import (
    ACTIVITY_PATTERN,
    LINK_PATTERN,
    MAX_FEATURE_BYTES,
    MAX_FEATURE_DEPTH,
    MAX_LINK,
)
from mcp_shim.tools.arguments import features_as_sent, required
from mcp_shim.tools.tool import TS, Json, Progress, Tool, closed

if TYPE_CHECKING:
    from mcp_shim.session import Session


async def _log_event(session: Session, given: Json, _: Progress | None) -> Json:
    activity = required(given, "activity", "an activity such as cdesk.user_asked")
    details = required(given, "feature_json", "an object with the details; {} where there are none")
    activity_id, ts, kept = session.recorder.event(
        activity,
        features_as_sent(activity, details),
        link=given.get("link"),
        revenue_impact=given.get("revenue_impact"),
    )
    return {"accepted": "queued" if kept else "sampled", "activity_id": activity_id, "ts": ts}


LOG_EVENT: Final = Tool(
    name="log_event",
    title="Log an activity",
    text=(
        "Record one activity of this conversation as it happens; no need to mention it. It is "
        "stored before the answer comes. A call that failed may be repeated as it was."
    ),
    input=closed(
        {
            "activity": {
                "type": "string",
                "pattern": ACTIVITY_PATTERN,
                "description": (
                    "What happened, as cdesk.<verb in the past>: cdesk.user_asked, "
                    "cdesk.claude_responded, cdesk.file_read, cdesk.file_written, or your own "
                    "in that form."
                ),
            },
            "feature_json": {
                "type": "object",
                "description": (
                    f"Its details, at most {MAX_FEATURE_BYTES // 1024} KiB as JSON, "
                    f"{MAX_FEATURE_DEPTH} deep, numbers within 64 bits. Only what you know."
                ),
            },
            "link": {
                "type": "string",
                "maxLength": MAX_LINK,
                "pattern": LINK_PATTERN,
                "description": "An http(s), s3 or cdesk URI of what this is about.",
            },
            "revenue_impact": {
                "type": "number",
                "description": (
                    "Money earned (negative: lost) by this very activity, where it is known."
                ),
            },
        },
        ("activity", "feature_json"),
    ),
    output=closed(
        {
            "accepted": {"enum": ["queued", "sampled"]},
            "activity_id": {"type": "string"},
            "ts": TS,
        }
    ),
    handler=_log_event,
)
