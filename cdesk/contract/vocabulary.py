"""What the turn path knows of the activity vocabulary (seeds/activity_vocabulary.csv; a test holds
that the two agree).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

RecordedBy = Literal["system", "caller", "either"]


class Known(NamedTuple):
    """An activity of the vocabulary.

    shed_priority: who goes first when the queue is too long; 0 is never shed, 100 first. Records
    that are no events (insights, query runs) never are. recorded_by: `system` is this server alone.
    """

    shed_priority: int
    recorded_by: RecordedBy


VOCABULARY: Final[dict[str, Known]] = {
    "cdesk.user_asked": Known(0, "caller"),
    "cdesk.claude_responded": Known(0, "caller"),
    "cdesk.llm_called": Known(40, "caller"),
    "cdesk.session_started": Known(20, "system"),
    "cdesk.session_ended": Known(20, "system"),
    "cdesk.agent_started": Known(50, "caller"),
    "cdesk.context_compacted": Known(50, "caller"),
    "cdesk.tool_called": Known(90, "system"),
    "cdesk.context_refreshed": Known(80, "system"),
    "cdesk.file_read": Known(60, "caller"),
    "cdesk.file_written": Known(50, "caller"),
    "cdesk.sql_executed": Known(40, "system"),
    "cdesk.sql_completed": Known(40, "system"),
    "cdesk.artifact_created": Known(30, "system"),
    "cdesk.card_ready": Known(70, "system"),
    "cdesk.insight_recorded": Known(0, "system"),
    "cdesk.insight_forgotten": Known(0, "system"),
    "cdesk.error_encountered": Known(0, "either"),
    "cdesk.retry_attempted": Known(70, "either"),
    "cdesk.fallback_triggered": Known(30, "either"),
}
SHED_PRIORITY: Final = {name: known.shed_priority for name, known in VOCABULARY.items()}
SYSTEM_ACTIVITIES: Final = frozenset(
    name for name, known in VOCABULARY.items() if known.recorded_by == "system"
)
"""What only this server records, about its own work: callers and imported files are refused."""

UNKNOWN_PRIORITY: Final = 50
"""For activities that the vocabulary does not hold."""


def check_recordable(activity: str) -> None:
    """Refuse an activity that only this server records.

    Raises:
        ValueError: (problem, what is allowed).
    """
    if activity in SYSTEM_ACTIVITIES:
        raise ValueError(
            f"{activity} is recorded by the system itself, about its own work",
            "an activity of the conversation such as cdesk.user_asked, or your own as "
            "cdesk.<verb in the past>",
        )
