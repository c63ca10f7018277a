"""Facts in `state.db`, one row of `worker_status` for each kind, and those that the turn path
reads.

A field that an older or newer version wrote and this one does not know is left out; one that is
missing, or of another type, has its default. The other kinds: cdesk/state/status.py.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from cdesk.core.errors import KillSwitchActive


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of `worker_status`."""


Row = TypeVar("Row", bound=Fact)


@dataclass(frozen=True, slots=True)
class CatalogSeal(Fact):
    """What catalog.json has to be: its digest (`catalog_digest`), and the fingerprint of the dbt
    project that it was compiled from.
    """

    digest: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True)
class KillSwitch(Fact):
    """Whether queries are refused (cdesk/state/kill_switch.py). `since` is when it was last turned,
    None where it never was; `by` is the part of the system that did, None for a person.
    """

    on: bool = False
    reason: str | None = None
    since: str | None = None
    by: str | None = None

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


@dataclass(frozen=True, slots=True)
class BuildUnderWay(Fact):
    """A build or test of the tables that runs at this moment, `what` being which; `since` is None
    where none does. On the embedded engine queries wait for its end.
    """

    since: str | None = None
    what: str | None = None


KEYS: Final[dict[type[Fact], str]] = {
    BuildUnderWay: "build_under_way",
    CatalogSeal: "catalog_seal",
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
