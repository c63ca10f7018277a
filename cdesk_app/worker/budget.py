"""What a person's budget for Claude (`[budget]` of config.toml) says, when a limit nears: written
down for get_context, which never waits for the warehouse.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from cdesk.contract.catalog import Catalog
from cdesk.core.clock import IdSource, NowNs, format_ts, to_ns
from cdesk.core.config import BudgetSettings
from cdesk.core.identity import Caller
from cdesk.query.executor import TIMEOUT_SECONDS
from cdesk.query.internal import read_rows
from cdesk.state.status import BudgetWord
from cdesk.warehouse.protocol import Warehouse

TEMPLATE: Final = "budget"
NEAR_SHARE: Final = 0.8
"""From this share of a limit on there is a word of it."""


def budget_word(
    warehouse: Warehouse,
    catalog: Catalog,
    caller: Caller,
    limits: BudgetSettings,
    *,
    now_ns: NowNs,
    timezone: str,
    cancel: threading.Event | None = None,
) -> BudgetWord:
    """The word, an empty one where no limit is near.

    Raises:
        CdeskError: the warehouse could not be asked.
    """
    template = catalog.templates.get(TEMPLATE)
    if template is None or not limits.is_set:
        return BudgetWord()
    given = {name: getattr(limits, name) for name in ("day", "week", "month")}
    answer = read_rows(
        warehouse,
        template,
        {name: limit for name, limit in given.items() if limit is not None},
        caller,
        query_tag=IdSource(now_ns).query_tag(),
        timeout_seconds=TIMEOUT_SECONDS,
        timezone=timezone,
        cancel=cancel,
    )
    said = "; ".join(words(answer.rows))
    if not said:
        return BudgetWord()
    return BudgetWord(
        customer=caller.customer,
        text=f"Of this person's budget for Claude {said}.",
        until=format_ts(end_of_day(now_ns(), timezone)),
    )


def words(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A clause for each limit that is near or passed, of rows of the template."""
    found = []
    for row in rows:
        share, limit = row["used_share"], row["limit_usd"]
        if limit is None or share is None or share < NEAR_SHARE:
            continue
        open_end = " at least" if row["unpriced_responses"] else ""
        found.append(
            f"{open_end} {share:.0%} of the {row['period']}'s {limit:g} US dollars is used".strip()
        )
    return found


def end_of_day(now_ns: int, timezone: str) -> int:
    """When the person's day ends, in nanoseconds: what was said of it counts no longer then."""
    now = datetime.fromtimestamp(now_ns / 1e9, ZoneInfo(timezone))
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), now.tzinfo)
    return to_ns(midnight.astimezone(UTC))
