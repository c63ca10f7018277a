"""What the processes of a state directory leave for one another to read: one row of `worker_status`
for each kind of fact, typed.

To add a fact: a dataclass here whose fields all have defaults, and its key in KEYS. What the turn
path reads stands in cdesk/state/facts.py, with the reading and writing: making all these classes
takes a thirtieth of a start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from cdesk.state.facts import KEYS, Fact


@dataclass(frozen=True, slots=True)
class WorkerState(Fact):
    """The worker itself. `reason` is why it ended; `problem` what somebody has to do about that."""

    pid: int | None = None
    state: str = "ended"
    version: str | None = None
    reason: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class BuiltProject(Fact):
    """The dbt project behind the tables: its fingerprint when it was built, exported and tested,
    and which version of cdesk built it.
    """

    built: str | None = None
    exported: str | None = None
    tested: str | None = None
    tested_at: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class LastLanding(Fact):
    at: str | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Backlog(Fact):
    """What the last drain left. `blocked` is the code of what stopped it, `held` counts files that
    are left alone.
    """

    waiting: int = 0
    blocked: str | None = None
    held: int = 0


@dataclass(frozen=True, slots=True)
class BreakerState(Fact):
    """The circuit breaker before the warehouse; the next attempt may be made at `until`."""

    state: str = "closed"
    reason: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Quarantined(Fact):
    """Lines in quarantine about which nobody has decided, by reason."""

    at: str | None = None
    lines: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


BUILT: Final = ("succeeded", "tests_failed")


@dataclass(frozen=True, slots=True)
class LastBuild(Fact):
    """`status` is `succeeded`, `tests_failed` or an error code, which `message` explains; `reason`
    is why there was a build.
    """

    at: str | None = None
    status: str | None = None
    reason: str | None = None
    message: str | None = None
    seconds: float | None = None
    nodes: int | None = None


@dataclass(frozen=True, slots=True)
class LastTest(Fact):
    """`failed` names the data tests that failed."""

    at: str | None = None
    seconds: float = 0.0
    tests: int = 0
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LastRefresh(Fact):
    """A refresh of the snapshot. `events_left_out` counts changed customers beyond those that got a
    `cdesk.context_refreshed` each.
    """

    at: str | None = None
    changed: int = 0
    removed: int = 0
    whole: bool = False
    rebuilt: bool = False
    seconds: float = 0.0
    insights_cleared: int = 0
    events_left_out: int = 0


@dataclass(frozen=True, slots=True)
class LastCatalog(Fact):
    """An export of the catalog; `error` is why it failed."""

    at: str | None = None
    templates: int = 0
    content_hash: str | None = None
    changed: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class LastCleanUp(Fact):
    """`removed` counts what went: tickets, answers, stored results."""

    at: str | None = None
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Insights(Fact):
    """Recorded insights by the outcome of their verification, as of a build."""

    at: str | None = None
    verified: int = 0
    unverified: int = 0


@dataclass(frozen=True, slots=True)
class Spent(Fact):
    """What the cost guard knows.

    period: the day that is counted (UTC). read_at: when the meter was last read. used: measure →
    what was used in the period. caps: measure → its cap, those without one left out.
    estimated: credits among them that no meter shows yet. usd_per_hour: over the last hour.
    usd_per_credit: the price as the warehouse last told it.
    allowed: measure → what was used when a person turned the kill switch off: counting goes on
    from there. tripped: why the guard turned the switch in this period.
    """

    period: str | None = None
    at: str | None = None
    read_at: str | None = None
    problem: str | None = None
    used: dict[str, float] = field(default_factory=dict)
    caps: dict[str, float] = field(default_factory=dict)
    estimated: float = 0.0
    usd_per_hour: float = 0.0
    usd_per_credit: float = 0.0
    allowed: dict[str, float] = field(default_factory=dict)
    tripped: str | None = None


@dataclass(frozen=True, slots=True)
class Pressure(Fact):
    """How many steps of the degradation plan are taken, and why."""

    step: int = 0
    reason: str | None = None
    at: str | None = None


@dataclass(frozen=True, slots=True)
class BudgetWord(Fact):
    """What get_context says of a customer's budget until then; nothing where no limit is near."""

    customer: str | None = None
    text: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class LastBackup(Fact):
    """The last `cdesk backup`; `bytes` is the size of its `file`."""

    at: str | None = None
    bytes: int = 0
    file: str | None = None


@dataclass(frozen=True, slots=True)
class CycleRequest(Fact):
    """Somebody asks the running worker for a whole pipeline cycle."""

    id: str | None = None
    at: str | None = None
    full: bool = False


@dataclass(frozen=True, slots=True)
class CycleAnswer(Fact):
    """The answer to a CycleRequest; `report` is the worker's CycleReport."""

    id: str | None = None
    asked_at: str | None = None
    at: str | None = None
    ok: bool = False
    message: str | None = None
    report: dict[str, Any] = field(default_factory=dict)


KEYS.update(
    {
        WorkerState: "worker",
        BuiltProject: "project",
        LastLanding: "last_landing",
        Backlog: "queue",
        BreakerState: "breaker",
        Quarantined: "quarantine",
        LastBuild: "last_build",
        LastTest: "last_test",
        LastRefresh: "last_refresh",
        LastCatalog: "last_catalog",
        LastCleanUp: "last_clean_up",
        LastBackup: "last_backup",
        BudgetWord: "budget_word",
        Insights: "insights",
        Spent: "spent",
        Pressure: "pressure",
        CycleRequest: "build_request",
        CycleAnswer: "build_request_done",
    }
)
