"""The account's time, without asking for it at each landing.

A pipe can't stamp rows itself: Snowflake advises against SYSDATE and its like in a pipe's
statement, since their values may be hours old.
https://docs.snowflake.com/en/sql-reference/sql/create-pipe
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from cdesk.core.clock import NowNs
from cdesk.core.errors import WarehouseError

_KEPT_SECONDS: Final = 6 * 3600.0
_JUMP_SECONDS: Final = 2.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class AccountClock:
    """Kept by its distance from this machine's clock, which is asked for again after some hours,
    and as soon as this machine's clock was set or has slept: then it and the steady one go apart.

    `distance` asks the account how far its clock is ahead of `now_ns`; it may raise WarehouseError.
    """

    def __init__(
        self, distance: Callable[[], timedelta], *, now_ns: NowNs, monotonic: Callable[[], float]
    ) -> None:
        self._ask = distance
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._distance: timedelta | None = None
        self._asked = (0, 0.0)

    def now(self) -> datetime:
        """In UTC, to the microsecond.

        Raises:
            WarehouseError: the account has to be asked, and can't be.
        """
        wall, steady = self._now_ns(), self._monotonic()
        elapsed = steady - self._asked[1]
        has_jumped = abs((wall - self._asked[0]) / 1e9 - elapsed) > _JUMP_SECONDS
        if self._distance is None or has_jumped:
            self._distance = self._ask()
            wall, steady = self._asked = self._now_ns(), self._monotonic()
        elif elapsed > _KEPT_SECONDS:
            self._asked = (wall, steady)
            with contextlib.suppress(
                WarehouseError
            ):  # the old distance is good for some hours more
                self._distance = self._ask()
        return _EPOCH + timedelta(microseconds=wall // 1000) + self._distance
