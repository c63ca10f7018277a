"""The kill switch: a decision that no query runs. Logging goes on.

Turned by a person (`cdesk kill-switch on`) or by a monitor that sees credits run past their cap.
It is kept in `state.db`, and while it is on in `kill_switch.json` as well: `state.db` is made anew
where it is damaged, which allows no query again. It is on where either says so; the file is written
first and removed last.
"""

from __future__ import annotations

import dataclasses
import os
import sqlite3
from pathlib import Path
from typing import Final

import orjson

from cdesk.contract.redaction import redact_text
from cdesk.core.errors import KillSwitchActive
from cdesk.core.home import StateDirectory, write_private
from cdesk.state.database import write_transaction
from cdesk.state.facts import KillSwitch, from_json, read_status, write_status
from cdesk.state.tickets import cancel_all

COST_GUARD: Final = "cost_guard"
"""`by` of the switch that the cost guard has turned."""


def read_switch(connection: sqlite3.Connection, file: Path | None) -> KillSwitch:
    """The switch as it stands; `file` is `StateDirectory.kill_switch`. One look-up by primary key
    and one file that is not there: cheap enough for every submit_query.
    """
    kept = read_status(connection, KillSwitch)
    return kept if kept.on or file is None else _read_file(file) or kept


def turn_on(
    connection: sqlite3.Connection,
    home: StateDirectory,
    *,
    reason: str | None,
    now: str,
    by: str | None = None,
) -> int:
    """Refuse queries from now on, cancel what waits and ask what runs to stop; how many tickets
    that touches. A credential in the reason is taken out. `by`: which part of the system turns it,
    None for a person.

    Wake the worker afterwards (cdesk/core/wake.py), so that it stops at once what runs.

    Raises:
        OSError, sqlite3.Error: it could not be written down. After an OSError it is as it was.
    """
    switch = KillSwitch(on=True, reason=redact_text(reason) if reason else reason, since=now, by=by)
    write_private(home.kill_switch, orjson.dumps(switch))
    with write_transaction(connection):
        write_status(connection, switch, now=now)
        return cancel_all(connection, code=KillSwitchActive.code, message=switch.message, now=now)


def turn_off(
    connection: sqlite3.Connection, home: StateDirectory, *, now: str, by: str | None = None
) -> bool:
    """Let queries run again; tickets that were cancelled stay so. `by`: which part of the system
    does, and only where it has turned it on itself (False where not); None for a person.

    Raises:
        OSError, sqlite3.Error: it stays on.
    """
    with write_transaction(connection):  # a person may turn it on just now
        if by is not None and read_switch(connection, home.kill_switch).by != by:
            return False
        write_status(connection, KillSwitch(on=False, since=now), now=now)
    home.kill_switch.unlink(missing_ok=True)
    return True


def _read_file(file: Path) -> KillSwitch | None:
    """What the file says; None where there is none. One that cannot be read keeps queries off."""
    try:
        os.stat(file)  # noqa: PTH116 - on every submit_query, and far less than an open that fails
        value = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        value = {"reason": f"{file.name} cannot be read"}
    return dataclasses.replace(from_json(KillSwitch, value), on=True)
