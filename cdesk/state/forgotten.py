"""Insights that somebody asked to forget: hidden at once, until the snapshot shows them no more."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final

from cdesk.core.clock import format_ts

KEEP_DAYS: Final = 30
"""By then a build has long taken the insight out of the snapshot, or none has run at all."""


def hide_insight(
    connection: sqlite3.Connection, insight_id: str, *, customer: str, now: str
) -> None:
    """Hide one of `customer`'s insights, and take it from those on their way. Another's id hides
    nothing.
    """
    connection.execute(
        "insert or replace into forgotten_insights (customer, insight_id, ts) values (?, ?, ?)",
        (customer, insight_id, now),
    )
    connection.execute(
        "delete from pending_insights where customer = ?1 and (id = ?2 or exists ("
        "select 1 from pending_insights as named where named.customer = ?1 and named.id = ?2 "
        "and named.subject = pending_insights.subject and named.metric = pending_insights.metric "
        "and named.ts >= pending_insights.ts))",
        (customer, insight_id),
    )


def hidden_insights(connection: sqlite3.Connection, customer: str) -> frozenset[str]:
    """The ids that `customer` asked to forget."""
    rows = connection.execute(
        "select insight_id from forgotten_insights where customer = ?", (customer,)
    )
    return frozenset(row[0] for row in rows)


def forget_hidden(connection: sqlite3.Connection, *, now: datetime) -> int:
    """Drop what has been hidden for KEEP_DAYS; how many."""
    before = now.astimezone(UTC) - timedelta(days=KEEP_DAYS)
    return connection.execute(
        "delete from forgotten_insights where ts < ?", (format_ts(int(before.timestamp() * 1e9)),)
    ).rowcount
