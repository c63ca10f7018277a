"""What the processes of a state directory leave for one another to read: one row of `worker_status`
for each kind of fact, typed.

To add a fact: a dataclass here whose fields all have defaults, and its key in KEYS. A field that an
older or newer version wrote and this one does not know is left out; one that is missing, or of
another type, has its default.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson

from cdesk.core.errors import KillSwitchActive


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of `worker_status`."""


Row = TypeVar("Row", bound=Fact)


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
class CatalogSeal(Fact):
    """What catalog.json has to be: its digest (`catalog_digest`), and the fingerprint of the dbt
    project that it was compiled from.
    """

    digest: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True)
class LastCleanUp(Fact):
    """`removed` counts what went: tickets, answers, stored results."""

    at: str | None = None
    removed: int = 0


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


@dataclass(frozen=True, slots=True)
class KillSwitch(Fact):
    """Whether queries are refused (cdesk/state/kill_switch.py). `since` is when it was last turned,
    None where it never was.
    """

    on: bool = False
    reason: str | None = None
    since: str | None = None

    @property
    def message(self) -> str:
        """What whoever is refused is told, with what to do."""
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"queries are switched off since {self.since}{why}; logging goes on. "
            "Answer from get_context, or turn them on with 'cdesk kill-switch off'"
        )

    def require_off(self) -> None:
        """Raises KillSwitchActive, with the reason and what to do."""
        if self.on:
            raise KillSwitchActive(self.message)


KEYS: Final[dict[type[Fact], str]] = {
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
    CatalogSeal: "catalog_seal",
    LastCleanUp: "last_clean_up",
    CycleRequest: "build_request",
    CycleAnswer: "build_request_done",
    KillSwitch: "kill_switch",
}
"""Every kind of fact and the key of its row."""


def read_status(connection: sqlite3.Connection, kind: type[Row]) -> Row:
    """The fact of that kind; one of defaults where nobody has left any. Raises sqlite3.Error."""
    row = connection.execute(
        "select value from worker_status where key = ?", (KEYS[kind],)
    ).fetchone()
    return from_json(kind, orjson.loads(row[0]) if row else None)


def write_status(connection: sqlite3.Connection, fact: Fact, *, now: str) -> None:
    """Keep a fact in place of the one before it; `now` is an RFC 3339 timestamp.

    Raises:
        sqlite3.Error: state.db is busy or full.
    """
    connection.execute(
        "insert into worker_status (key, value, updated_at) values (?, ?, ?) "
        "on conflict (key) do update set value = excluded.value, updated_at = excluded.updated_at",
        (KEYS[type(fact)], orjson.dumps(fact).decode(), now),
    )


def from_json(kind: type[Row], value: object) -> Row:
    """A fact from what stands in its row."""
    if not isinstance(value, dict):
        return kind()
    defaults = kind()
    known: dict[str, Any] = {}
    for one in dataclasses.fields(kind):
        given, default = value.get(one.name), getattr(defaults, one.name)
        if isinstance(default, tuple) and isinstance(given, list):
            given = tuple(given)
        if one.name in value and _fits(given, default):
            known[one.name] = given
    return dataclasses.replace(defaults, **known)


def _fits(given: object, default: object) -> bool:
    """Whether a value is of its field's type, as far as the default tells."""
    if default is None:
        return given is None or isinstance(given, str | int | float)
    if isinstance(default, bool) or isinstance(given, bool):
        return isinstance(given, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(given, int | float)
    return isinstance(given, type(default))
