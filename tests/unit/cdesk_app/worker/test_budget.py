"""The word that get_context has of a budget."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from cdesk.core.clock import format_ts, to_ns
from cdesk_app.worker.budget import end_of_day, words


def row(period: str, used_share: float | None, limit: float | None, **more: Any) -> dict[str, Any]:
    return {
        "period": period,
        "used_share": used_share,
        "limit_usd": limit,
        "unpriced_responses": 0,
        **more,
    }


def test_only_limits_that_are_near_or_passed_are_named() -> None:
    rows = [
        row("day", 0.7999, 20.0),
        row("week", 0.8, 100.0),
        row("month", None, None),
        row("month", 1.041, 7.5, unpriced_responses=3),
    ]
    assert words(rows) == [
        "80% of the week's 100 US dollars is used",
        "at least 104% of the month's 7.5 US dollars is used",
    ]


def test_what_is_said_of_a_day_counts_until_it_ends_where_the_person_is() -> None:
    def end(zone: str, *at: int) -> str:
        return format_ts(end_of_day(to_ns(datetime(2026, *at, tzinfo=UTC)), zone))[:19]

    assert end("UTC", 3, 1, 22, 59) == "2026-03-02T00:00:00"
    assert end("Europe/Berlin", 3, 1, 22, 59) == "2026-03-01T23:00:00"
    assert end("Europe/Berlin", 3, 1, 23, 0) == "2026-03-02T23:00:00"
    assert end("Europe/Berlin", 3, 29, 12, 0) == "2026-03-29T22:00:00", "a day of 23 hours"
