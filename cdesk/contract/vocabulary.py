"""What the turn path knows of the activity vocabulary (seeds/activity_vocabulary.csv; a test holds
that the two agree).
"""

from __future__ import annotations

from typing import Final

SHED_PRIORITY: Final[dict[str, int]] = {
    "cdesk.user_asked": 0,
    "cdesk.claude_responded": 0,
    "cdesk.llm_called": 40,
    "cdesk.session_started": 20,
    "cdesk.session_ended": 20,
    "cdesk.tool_called": 90,
    "cdesk.context_refreshed": 80,
    "cdesk.file_read": 60,
    "cdesk.file_written": 50,
    "cdesk.sql_executed": 40,
    "cdesk.sql_completed": 40,
    "cdesk.artifact_created": 30,
    "cdesk.card_ready": 70,
    "cdesk.insight_recorded": 0,
    "cdesk.error_encountered": 0,
    "cdesk.retry_attempted": 70,
    "cdesk.fallback_triggered": 30,
}
"""Who goes first when the queue is too long: 0 is never shed, 100 first. Records that are no events
(insights, query runs) never are.
"""

UNKNOWN_PRIORITY: Final = 50
"""For activities that the vocabulary does not hold."""
