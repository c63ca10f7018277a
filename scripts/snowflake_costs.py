"""The arithmetic behind "What a build reads" and "What it costs" in docs/snowflake.md.

Prints the two tables; a test holds the page to them. Every assumption stands here by name, so that
somebody with figures of their own changes one line and runs it again.

    python scripts/snowflake_costs.py
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Final

# -- what Snowflake says
CREDITS_AN_HOUR: Final = 1.0
"""Of an X-Small: https://docs.snowflake.com/en/user-guide/warehouses-overview"""
SUSPEND_SECONDS: Final = 60.0
"""auto_suspend, as setup_snowflake sets it; a start is billed for at least 60 s, too."""
STREAMING_CREDITS_A_GB: Final = 0.0037
"""Of uncompressed data:
https://docs.snowflake.com/en/user-guide/snowpipe-streaming/snowpipe-streaming-high-performance-cost
"""
PARTITION_BYTES: Final = 16e6
"""Compressed: https://docs.snowflake.com/en/user-guide/tables-clustering-micropartitions"""
FAIL_SAFE_DAYS: Final = 7
"""https://docs.snowflake.com/en/user-guide/data-failsafe"""
TIME_TRAVEL_DAYS: Final = 1

# -- what this project does
BUILD_SECONDS: Final = 45.0
"""One refresh of the tables by the task, on an X-Small."""
DAILY_SECONDS: Final = 420.0
"""The first build of a day, of everything with the tests."""
RETENTION_SECONDS: Final = 10.0
"""Its deletes each night, whether something has landed or not."""
QUERY_SECONDS: Final = 3.0
SNAPSHOT_SECONDS: Final = 600.0
"""How often a desktop in use asks for its context where builds happen elsewhere, and a service."""
IDLE_SNAPSHOT_SECONDS: Final = 3600.0
"""And one from which nothing lands."""
EVENT_BYTES: Final = 1_000.0
"""Of a landed line, uncompressed."""
STORED_BYTES: Final = 120.0
"""Of an event, compressed."""
WORK_HOURS: Final = 10.0
IN_USE: Final = 0.3
"""The share of those hours in which something lands from a desktop."""
SCAN_BYTES_A_SECOND: Final = 0.5e9


@dataclass(frozen=True, slots=True)
class Installation:
    name: str
    people: int
    events_a_day: int
    queries_a_day: int
    refreshes_itself: bool = True
    """Whether each person's desktop asks for its own context; a shared service asks once."""


INSTALLATIONS: Final = (
    Installation("idle", 0, 0, 0),
    Installation("10 people, 5,000 events", 10, 5_000, 200),
    Installation("1,000 people, 500,000 events, one service", 1_000, 500_000, 20_000, False),
    Installation("1,000 people, 500,000 events, each a desktop", 1_000, 500_000, 20_000),
)


@dataclass(frozen=True, slots=True)
class Day:
    landing: float
    builds: float
    queries: float
    reclustering: float

    @property
    def credits(self) -> float:
        return self.landing + self.builds + self.queries + self.reclustering


def share_up(per_second: float, seconds: float) -> float:
    """The share of the time that a warehouse runs: work of `seconds` begins at random
    `per_second`, and it suspends after SUSPEND_SECONDS without any.
    """
    return 1.0 - math.exp(-per_second * (seconds + SUSPEND_SECONDS))


def a_day(one: Installation) -> Day:
    """Credits a day."""
    retention = (RETENTION_SECONDS + SUSPEND_SECONDS) / 3600 * CREDITS_AN_HOUR
    if not one.people:
        return Day(0.0, retention, 0.0, 0.0)
    work = WORK_HOURS * 3600
    landings = one.events_a_day / 25 / work
    build_rate = min(landings, 1 / 60.0)
    builds = share_up(build_rate, BUILD_SECONDS) * WORK_HOURS + DAILY_SECONDS / 3600
    in_use = one.people * IN_USE if one.refreshes_itself else 1.0
    idle = one.people * (1 - IN_USE) if one.refreshes_itself else 0.0
    asked = one.queries_a_day / work + in_use / SNAPSHOT_SECONDS + idle / IDLE_SNAPSHOT_SECONDS
    queries = share_up(asked, QUERY_SECONDS) * WORK_HOURS
    landed = one.events_a_day * EVENT_BYTES / 1e9 * STREAMING_CREDITS_A_GB
    rewritten = one.events_a_day * STORED_BYTES * 40 / 1e9  # whole partitions for a few rows
    builds = builds * CREDITS_AN_HOUR + retention
    return Day(landed, builds, queries * CREDITS_AN_HOUR, rewritten * 0.5)


def reads(events: float, lines: int, customers: int, touched: int) -> list[tuple[str, float, str]]:
    """(step, GB, arithmetic) of one build of `lines` over `events`, where `touched` of `customers`
    have something new.
    """
    rows = PARTITION_BYTES / STORED_BYTES
    partitions = events / rows
    new = max(1.0, lines * EVENT_BYTES / 5 / PARTITION_BYTES) + lines / 25 * 0.01
    known = 0.02 * events * 24 / 1e9
    mine = touched * (events / customers / rows + 1)
    tails = mine * PARTITION_BYTES * 0.3 / 1e9
    rewritten = touched * 2 * PARTITION_BYTES / 1e9
    context = mine * PARTITION_BYTES * 0.05 / 1e9
    newest = 4 * rewritten * 0.05
    return [
        (
            "newest instants in `events`",
            newest,
            f"of the {touched * 2} partitions that the last build wrote, behind the mark that it "
            "left, one column in twenty, four times",
        ),
        (
            "new lines from `landing`",
            new * PARTITION_BYTES / 1e9,
            f"{new:.0f} partitions by the literal bound on `landed_at`",
        ),
        (
            "known ids in `_ingest_ids`",
            known,
            "2 % of the ids at 24 bytes: UUIDv7 grow with time; old history (UUIDv5) meets "
            "all of them, once",
        ),
        (
            "tails in `events`",
            tails,
            f"{mine:,.0f} of {partitions:,.0f} partitions: those of {touched} customers, "
            "three columns in ten",
        ),
        ("merge into `events`", 2 * rewritten, f"{touched * 2} partitions read and written again"),
        ("`context_cache`", context, "the same partitions, one column in twenty"),
    ]


def build_table() -> str:
    found = reads(1e9, 10_000, 1_000, 100)
    lines = ["| step | GB | because |", "|---|---|---|"]
    lines += [f"| {step} | {gb:.1f} | {why} |" for step, gb, why in found]
    total = sum(gb for _, gb, _ in found)
    lines.append(
        f"| **together** | **{total:.1f}** | {total * 1e9 / SCAN_BYTES_A_SECOND:.0f} s on an "
        "X-Small at 0.5 GB/s |"
    )
    return "\n".join(lines)


def cost_table() -> str:
    lines = [
        "| installation | landing | builds | queries and snapshots | reclustering | credits a "
        "day |",
        "|---|---|---|---|---|---|",
    ]
    for one in INSTALLATIONS:
        day = a_day(one)
        lines.append(
            f"| {one.name} | {day.landing:.2f} | {day.builds:.1f} | {day.queries:.1f} "
            f"| {day.reclustering:.1f} | **{day.credits:.1f}** |"
        )
    return "\n".join(lines)


def storage_line() -> str:
    kept = 500_000 * 365 * STORED_BYTES / 1e9
    churn = 500_000 * STORED_BYTES * 40 / 1e9
    return (
        f"500,000 events a day are {kept:.0f} GB of events a year. What merges and retention "
        "rewrite "
        f"stays for {TIME_TRAVEL_DAYS} day of Time Travel and {FAIL_SAFE_DAYS} of Fail-safe: "
        f"{churn:.1f} GB a day, {churn * (TIME_TRAVEL_DAYS + FAIL_SAFE_DAYS):.0f} GB at any time."
    )


def main() -> int:
    sys.stdout.write("\n\n".join((build_table(), cost_table(), storage_line())) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
