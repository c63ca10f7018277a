"""The sessions that this installation opens: which roles, which parameters, and pools of them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from cdesk.warehouse.snowflake.driver import errors as sf
from cdesk.warehouse.snowflake.login import Login
from cdesk.warehouse.snowflake.refusal import refuse

LOADER_ROLE: Final = "CDESK_LOADER"
READER_ROLE: Final = "CDESK_READER"
QUERY_WAREHOUSE: Final = "CDESK_WH"
STATEMENT_TIMEOUT_SECONDS: Final = 30
READER_SESSION: Final[dict[str, object]] = {
    "STATEMENT_TIMEOUT_IN_SECONDS": STATEMENT_TIMEOUT_SECONDS,
    "MULTI_STATEMENT_COUNT": 1,
    "USE_CACHED_RESULT": True,
    "TIMEZONE": "UTC",
}
LOADER_SESSION: Final[dict[str, object]] = {
    "MULTI_STATEMENT_COUNT": 1,
    "TIMEZONE": "UTC",
    "QUERY_TAG": "cdesk_00000000",
}
_IDLE_SECONDS: Final = 180.0
_CALLER: Final = "set (cdesk_scope, cdesk_customer) = (?, ?)"
Caller = tuple[str, str]
"""The scope (`org` or `customer`) and the customer that a session is for."""
NO_OTHER_ROLE: Final = "use secondary roles none"
"""A user's secondary roles, all of theirs by default, would be in force beside the one asked for.
https://docs.snowflake.com/en/sql-reference/sql/use-secondary-roles
"""


class SessionPool:
    """Idle connections of one role. A borrowed connection is the borrower's alone; one that failed
    is not used again. A session has one caller for its whole life: what the row access policy reads
    from its variables is never another's, neither in a query nor in Snowflake's cache of results.
    """

    def __init__(
        self,
        login: Login,
        role: str,
        warehouse: str,
        session_parameters: dict[str, object],
        monotonic: Callable[[], float],
    ) -> None:
        self._login = login
        self._role = role
        self._warehouse = warehouse
        self._session_parameters = session_parameters
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._idle: list[tuple[float, Caller | None, Any]] = []

    @contextlib.contextmanager
    def borrow(self, caller: Caller | None = None) -> Iterator[Any]:
        """A connection whose session variables say `caller`; none of them are set without one."""
        connection = self._take(caller)
        try:
            yield connection
        except BaseException:
            close_quietly(connection)
            raise
        with self._lock:
            self._idle.append((self._monotonic(), caller, connection))

    def _take(self, caller: Caller | None) -> Any:
        now = self._monotonic()
        connection = None
        with self._lock:
            sound = [one for one in self._idle if now - one[0] < _IDLE_SECONDS]
            stale = [one[2] for one in self._idle if now - one[0] >= _IDLE_SECONDS]
            for place in range(len(sound) - 1, -1, -1):
                if sound[place][1] == caller:
                    connection = sound.pop(place)[2]
                    break
            self._idle = sound
        if connection is not None and connection.is_closed():
            stale.append(connection)
            connection = None
        for old in stale:
            close_quietly(old)
        if connection is not None:
            return connection
        connection = self._login.open(
            role=self._role, warehouse=self._warehouse, session_parameters=self._session_parameters
        )
        try:
            connection.cursor().execute(NO_OTHER_ROLE)
            if caller is not None:
                connection.cursor().execute(_CALLER, caller)
        except sf.Error as error:
            close_quietly(connection)
            refuse(error)
        return connection

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for _, _, connection in idle:
            close_quietly(connection)


def close_quietly(connection: Any) -> None:
    with contextlib.suppress(sf.Error, OSError):
        connection.close()
