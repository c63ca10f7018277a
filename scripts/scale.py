"""The arithmetic behind docs/scale.md: what 10, 1,000 and 100,000 people ask of an installation, on
DuckDB (one file, one worker, two cores) and on Snowflake.

Every assumption stands here by name, so that somebody with figures of their own changes one line
and runs it again; what was measured says with which command. A question's waiting is simulated:
arrivals at random, as many at once as there are cores.

    python scripts/scale.py
"""

from __future__ import annotations

import heapq
import math
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

from snowflake_costs import QUERY_SECONDS, Installation, a_day

# -- what people do
CALLS_A_SECOND: Final = 0.3
"""Of one person at the busiest moment; every call records an activity."""
ASKED_SHARE: Final = 0.1
"""One call in ten asks the warehouse a question."""
EVENTS_A_DAY: Final = 500
QUESTIONS_A_DAY: Final = 20
CONTEXT_BYTES: Final = 4_000

# -- what this machine and this project need
CORES: Final = 2
QUESTION_SECONDS: Final = 0.017
"""Processor time of a small question, answered and proven: `python -m bench queries`."""
LAND_SECONDS: Final = 25e-6
"""Of one event, from queue file to `landing`: `python -m bench ingest`."""
LIVE_SECONDS: Final = 0.04
"""To work out `events_live` after a landing, which the copy for questions does once."""
BUILD_SECONDS: Final = 1.0
BUILD_ROW_SECONDS: Final = 60e-6
"""A build, and each new row of it: `python -m bench incremental`."""
BUILD_EVERY_SECONDS: Final = 60.0
LAND_EVERY_SECONDS: Final = 1.0
EVENT_BYTES: Final = 900.0
"""In the warehouse file, the landed line included."""
COPY_BYTES_A_SECOND: Final = 1e9
COPY_LIMIT_BYTES: Final = 4 * 1024**3
"""cdesk/warehouse/read_copy.py: beyond it a file is copied only where blocks are shared."""

QUESTIONS_A_CLUSTER: Final = 8
"""max_concurrency_level, as Snowflake sets it:
https://docs.snowflake.com/en/sql-reference/parameters#max-concurrency-level
"""

SIZES: Final = (10, 1_000, 100_000)
SHARES: Final = (1.0, 0.8)
"""Of the two cores, for questions: all, or what a build and a landing leave."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The busiest moment of an installation on DuckDB, and a year of it."""

    people: int

    @property
    def questions(self) -> float:
        """A second."""
        return self.people * CALLS_A_SECOND * ASKED_SHARE

    @property
    def events(self) -> float:
        """A second: one a call, and four that each question records."""
        return self.people * CALLS_A_SECOND * (1 + 4 * ASKED_SHARE)

    @property
    def build_seconds(self) -> float:
        return BUILD_SECONDS + self.events * BUILD_EVERY_SECONDS * BUILD_ROW_SECONDS

    @property
    def cores(self) -> dict[str, float]:
        """What keeps busy how many cores."""
        return {
            "questions": self.questions * QUESTION_SECONDS,
            "landing": self.events * LAND_SECONDS + min(self.questions, 1.0) * LIVE_SECONDS,
            "builds": self.build_seconds / BUILD_EVERY_SECONDS,
        }

    @property
    def days_to_limit(self) -> float:
        """Until the file is larger than what is copied on a plain file system."""
        return COPY_LIMIT_BYTES / (self.people * EVENTS_A_DAY * EVENT_BYTES)

    @property
    def bytes_a_year(self) -> float:
        return self.people * EVENTS_A_DAY * 365 * EVENT_BYTES


def waiting(
    rate: float, *, seconds: float = QUESTION_SECONDS, servers: int = CORES, arrivals: int = 20_000
) -> tuple[float, float]:
    """(median, 95th percentile) of what a question takes from its arrival, in seconds, of
    `arrivals` at random, `rate` a second; infinite where they are more than can be answered.
    """
    if rate * seconds >= servers:
        return float("inf"), float("inf")
    rng = random.Random(1)
    free = [0.0] * servers
    now, took = 0.0, []
    for _ in range(arrivals):
        now += rng.expovariate(rate)
        begins = max(now, heapq.heappop(free))
        heapq.heappush(free, begins + seconds)
        took.append(begins + seconds - now)
    took.sort()
    return took[len(took) // 2], took[int(len(took) * 0.95)]


def duckdb_table() -> str:
    peaks = [Peak(people) for people in SIZES]
    rows: list[tuple[str, list[str]]] = [
        ("questions a second at the peak", [f"{one.questions:,.1f}" for one in peaks]),
        ("events a second at the peak", [f"{one.events:,.0f}" for one in peaks]),
        *(
            (f"cores for {what}", [f"{one.cores[what]:,.2f}" for one in peaks])
            for what in ("questions", "landing", "builds")
        ),
        (f"of {CORES} cores", [f"{sum(one.cores.values()) / CORES:,.0%}" for one in peaks]),
        *(
            (
                "a question takes, median and p95"
                + ("" if share == 1 else f", {share:.0%} of the cores its own"),
                [_took(one.questions / share) for one in peaks],
            )
            for share in SHARES
        ),
        ("a build of one minute's events", [f"{one.build_seconds:,.1f} s" for one in peaks]),
        ("the file after a year", [_bytes(one.bytes_a_year) for one in peaks]),
        (
            "until it is larger than what is copied without shared blocks",
            [_days(one.days_to_limit) for one in peaks],
        ),
        (
            "the snapshot of all contexts",
            [_bytes(one.people * CONTEXT_BYTES) for one in peaks],
        ),
    ]
    return _table(["DuckDB, two cores", *(f"{people:,} people" for people in SIZES)], rows)


def snowflake_table() -> str:
    days = [
        a_day(Installation("", people, people * EVENTS_A_DAY, people * QUESTIONS_A_DAY, False))
        for people in SIZES
    ]
    at_once = [Peak(people).questions * QUERY_SECONDS for people in SIZES]
    rows = [
        ("landing", [f"{day.landing:,.2f}" for day in days]),
        ("builds", [f"{day.builds:,.1f}" for day in days]),
        ("questions and snapshots", [f"{day.queries:,.1f}" for day in days]),
        ("reclustering", [f"{day.reclustering:,.1f}" for day in days]),
        ("**credits a day**", [f"**{day.credits:,.1f}**" for day in days]),
        ("questions at once at the peak", [f"{one:,.0f}" for one in at_once]),
        (
            f"clusters at the peak, {QUESTIONS_A_CLUSTER} questions each",
            [f"{max(math.ceil(one / QUESTIONS_A_CLUSTER), 1):,}" for one in at_once],
        ),
    ]
    return _table(
        ["Snowflake, X-Small, one service", *(f"{people:,} people" for people in SIZES)], rows
    )


def _took(rate: float) -> str:
    median, slow = waiting(rate)
    if slow == float("inf"):
        return "more come than are answered"
    return f"{median * 1000:.0f}, {slow * 1000:.0f} ms"


def _days(days: float) -> str:
    return f"{days:,.0f} days" if days >= 1 else f"{days * 24:,.1f} hours"


def _bytes(size: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if size >= factor:
            return f"{size / factor:,.1f} {unit}"
    return f"{size / 1e6:,.1f} MB"


def _table(header: list[str], rows: list[tuple[str, list[str]]]) -> str:
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    lines += [f"| {' | '.join([name, *cells])} |" for name, cells in rows]
    return "\n".join(lines)


def main() -> int:
    sys.stdout.write("\n\n".join((duckdb_table(), snowflake_table())) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
