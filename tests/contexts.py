"""Rows of the context snapshot for tests."""

from __future__ import annotations

import orjson

from cdesk.core.clock import format_ts
from cdesk.state.snapshot import ContextRow

START = 1_769_860_800_000_000_000


def stamp(second: int) -> str:
    return format_ts(START + second * 1_000_000_000)


def row(
    customer: str, version: str, second: int, *insights: str, section: str = "insights"
) -> ContextRow:
    context = {"customer": customer, section: [{"insight_id": id} for id in insights]}
    return ContextRow(customer, orjson.dumps(context), version, stamp(second))
