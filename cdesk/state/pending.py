"""Insights on their way: recorded, but not yet in the snapshot that get_context answers from."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from contextlib import closing

import orjson

from cdesk.core.errors import SnapshotError
from cdesk.core.home import StateDirectory
from cdesk.state.snapshot import SnapshotReader


def pending_insights(state: sqlite3.Connection) -> frozenset[str]:
    """The ids of the insights that no snapshot shows yet."""
    return frozenset(row[0] for row in state.execute("select id from pending_insights"))


def clear_insights(
    state: sqlite3.Connection, home: StateDirectory, *, built: Collection[str]
) -> int:
    """Forget the pending insights that the snapshot holds now; how many. Call it after the snapshot
    was renewed, never before.

    An insight has arrived when its customer's context lists it, or when its id is in `built`: it
    was in the warehouse before the last build, so what the context shows or leaves out (superseded,
    trimmed, refused) is meant.
    """
    rows = state.execute("select id, customer from pending_insights order by customer").fetchall()
    if not rows:
        return 0
    arrived = [(customer, id) for id, customer in rows if id in built]
    waiting: dict[str, list[str]] = {}
    for id, customer in rows:
        if id not in built:
            waiting.setdefault(customer, []).append(id)
    with closing(SnapshotReader(home.context_db)) as reader:
        for customer, ids in waiting.items():
            listed = _listed(reader, customer)
            arrived += [(customer, id) for id in ids if id in listed]
    for one in arrived:
        state.execute("delete from pending_insights where customer = ? and id = ?", one)
    return len(arrived)


def _listed(reader: SnapshotReader, customer: str) -> set[str]:
    """The ids of the insights in a customer's context; none where the context cannot be read."""
    try:
        row, _ = reader.read(customer)
        context = orjson.loads(row.context) if row is not None else {}
        return {
            item["insight_id"]
            for name in ("insights", "unverified")
            for item in context.get(name, ())
        }
    except (SnapshotError, ValueError, KeyError, TypeError, AttributeError):
        return set()
