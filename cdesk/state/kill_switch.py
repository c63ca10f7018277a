"""The kill switch: a decision, kept in `state.db`, that no query runs. Logging goes on.

Turned by a person (`cdesk kill-switch on`) or by a monitor that sees credits run past their cap.
"""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass

from cdesk.core.errors import KillSwitchActive
from cdesk.state.database import get_status, set_status
from cdesk.state.tickets import cancel_all

KEY = "kill_switch"


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """`since` is when it was last turned (RFC 3339 in UTC), None where it never was."""

    on: bool
    reason: str | None = None
    since: str | None = None

    def require_off(self) -> None:
        """Raises KillSwitchActive, with the reason and what to do."""
        if self.on:
            raise KillSwitchActive(message(self))


def message(switch: KillSwitch) -> str:
    why = f" ({switch.reason})" if switch.reason else ""
    return (
        f"queries are switched off since {switch.since}{why}; logging goes on. "
        "Answer from get_context, or turn them on with 'cdesk kill-switch off'"
    )


def read_switch(connection: sqlite3.Connection) -> KillSwitch:
    """One look-up by primary key: cheap enough for every submit_query."""
    value = get_status(connection, KEY)
    if not isinstance(value, dict):
        return KillSwitch(on=False)
    return KillSwitch(
        on=bool(value.get("on")), reason=value.get("reason"), since=value.get("since")
    )


def turn_on(connection: sqlite3.Connection, *, reason: str | None, now: str) -> int:
    """Refuse queries from now on, cancel what waits and ask what runs to stop; how many tickets
    that touches.

    Wake the worker afterwards (cdesk.wake), so that it stops at once what runs.
    """
    switch = KillSwitch(on=True, reason=reason, since=now)
    connection.execute("begin immediate")
    try:
        set_status(connection, KEY, asdict(switch), now=now)
        touched = cancel_all(
            connection, code=KillSwitchActive.code, message=message(switch), now=now
        )
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")
    return touched


def turn_off(connection: sqlite3.Connection, *, now: str) -> None:
    """Let queries run again; tickets that were cancelled stay so."""
    set_status(connection, KEY, asdict(KillSwitch(on=False, since=now)), now=now)
