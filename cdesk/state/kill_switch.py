"""The kill switch: a decision, kept in `state.db`, that no query runs. Logging goes on.

Turned by a person (`cdesk kill-switch on`) or by a monitor that sees credits run past their cap.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from cdesk.contract.redaction import redact_text
from cdesk.core.errors import KillSwitchActive
from cdesk.state.facts import KillSwitch, read_status, write_status
from cdesk.state.tickets import cancel_all

COST_GUARD: Final = "cost_guard"
"""`by` of the switch that the cost guard has turned."""


def read_switch(connection: sqlite3.Connection) -> KillSwitch:
    """One look-up by primary key: cheap enough for every submit_query."""
    return read_status(connection, KillSwitch)


def turn_on(
    connection: sqlite3.Connection, *, reason: str | None, now: str, by: str | None = None
) -> int:
    """Refuse queries from now on, cancel what waits and ask what runs to stop; how many tickets
    that touches. A credential in the reason is taken out. `by`: which part of the system turns it,
    None for a person.

    Wake the worker afterwards (cdesk/core/wake.py), so that it stops at once what runs.
    """
    switch = KillSwitch(on=True, reason=redact_text(reason) if reason else reason, since=now, by=by)
    connection.execute("begin immediate")
    try:
        write_status(connection, switch, now=now)
        touched = cancel_all(
            connection, code=KillSwitchActive.code, message=switch.message, now=now
        )
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")
    return touched


def turn_off(connection: sqlite3.Connection, *, now: str) -> None:
    """Let queries run again; tickets that were cancelled stay so."""
    write_status(connection, KillSwitch(on=False, since=now), now=now)
